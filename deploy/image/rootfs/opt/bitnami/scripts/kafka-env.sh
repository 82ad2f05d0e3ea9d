# Paths of the bitnami/kafka image, for its scripts and those of others that source this file. Not exported: a KAFKA_* variable would be a property.
# shellcheck disable=SC2034
BITNAMI_ROOT_DIR=/opt/bitnami
BITNAMI_VOLUME_DIR=/bitnami
KAFKA_BASE_DIR=/opt/bitnami/kafka
KAFKA_HOME=/opt/bitnami/kafka
KAFKA_VOLUME_DIR=/bitnami/kafka
KAFKA_DATA_DIR=/bitnami/kafka/data
KAFKA_CONF_DIR=/opt/bitnami/kafka/config
KAFKA_CONF_FILE=/opt/bitnami/kafka/config/server.properties
KAFKA_MOUNTED_CONF_DIR="${KAFKA_MOUNTED_CONF_DIR:-/bitnami/kafka/config}"
KAFKA_CERTS_DIR=/opt/bitnami/kafka/config/certs
KAFKA_INITSCRIPTS_DIR=/docker-entrypoint-initdb.d
KAFKA_LOG_DIR=/opt/bitnami/kafka/logs

#!/bin/bash
# Starts the broker with the file that setup.sh made; arguments go to kafka-server-start.
set -o errexit -o nounset -o pipefail
export OTTLA_IMAGE=bitnami
. /opt/bitnami/scripts/kafka-env.sh
[ -s "$KAFKA_CONF_FILE" ] || . /opt/bitnami/scripts/kafka/setup.sh
exec "$KAFKA_HOME/bin/kafka-server-start.sh" "$KAFKA_CONF_FILE" "$@"

#!/bin/bash
# Makes /opt/bitnami/kafka/config/server.properties from the environment, or takes the one that is mounted, and runs the user's scripts.
set -o errexit -o nounset -o pipefail
export OTTLA_IMAGE=bitnami
. /opt/bitnami/scripts/kafka-env.sh
for name in NODE_ID BROKER_ID CONTROLLER_QUORUM_VOTERS; do
  command="KAFKA_${name}_COMMAND"
  [ "$name" != BROKER_ID ] || [ -n "${!command:-}" ] || command=BROKER_ID_COMMAND
  if [ -n "${!command:-}" ]; then
    export "KAFKA_CFG_$name=$(eval "${!command}")"
  fi
done
ottla image configure --mounted "$KAFKA_MOUNTED_CONF_DIR/server.properties" --output "$KAFKA_CONF_FILE"
OTTLA_INITDB_VOLUME="$KAFKA_VOLUME_DIR" . /opt/ottla/initdb

#!/bin/bash
# Starts a broker as the wurstmeister/kafka image does: *_COMMAND variables are run, and what they print takes the place of _{HOSTNAME_COMMAND} and its like.
export OTTLA_IMAGE=wurstmeister
substitute() {
  local placeholder="_{$1}" value="$2" name
  while IFS= read -r name; do
    if [[ "${!name}" = *"$placeholder"* ]]; then
      export "$name=${!name//"$placeholder"/$value}"
    fi
  done < <(compgen -e KAFKA_)
}
if [[ -n "$HOSTNAME_COMMAND" ]]; then
  value="$(eval "$HOSTNAME_COMMAND")"
  substitute HOSTNAME_COMMAND "$value"
  [[ -n "$KAFKA_ADVERTISED_HOST_NAME" ]] || export KAFKA_ADVERTISED_HOST_NAME="$value"
fi
if [[ -n "$PORT_COMMAND" ]]; then
  substitute PORT_COMMAND "$(eval "$PORT_COMMAND")"
fi
if [[ -n "$RACK_COMMAND" && -z "$KAFKA_BROKER_RACK" ]]; then
  export KAFKA_BROKER_RACK="$(eval "$RACK_COMMAND")"
fi
if [[ -n "$BROKER_ID_COMMAND" && -z "$KAFKA_BROKER_ID" ]]; then
  export KAFKA_BROKER_ID="$(eval "$BROKER_ID_COMMAND")"
fi
ottla image configure --output "$KAFKA_HOME/config/server.properties" || exit
if [[ -n "$CUSTOM_INIT_SCRIPT" ]]; then
  eval "$CUSTOM_INIT_SCRIPT"
fi
OTTLA_INITDB_VOLUME=/kafka . /opt/ottla/initdb || exit
exec "$KAFKA_HOME/bin/kafka-server-start.sh" "$KAFKA_HOME/config/server.properties"

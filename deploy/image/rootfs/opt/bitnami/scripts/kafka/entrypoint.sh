#!/bin/bash
# What the bitnami/kafka image's entry point is: prepares the configuration when the command is run.sh, then becomes the command.
set -o errexit -o nounset -o pipefail
export OTTLA_IMAGE=bitnami
if [[ "$*" = *"/run.sh"* ]]; then
  . /opt/bitnami/scripts/kafka/setup.sh
fi
exec "$@"

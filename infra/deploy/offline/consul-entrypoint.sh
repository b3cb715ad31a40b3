#!/bin/sh
# The part of the official image's contract that the compose file relies on:
# "agent ..." as arguments, the two folders, and the user consul (100:1000)
# unless CONSUL_DISABLE_PERM_MGMT is set.
set -e
case "$1" in
-*) set -- consul "$@" ;;
agent)
	shift
	set -- consul agent \
		-data-dir="${CONSUL_DATA_DIR:-/consul/data}" \
		-config-dir="${CONSUL_CONFIG_DIR:-/consul/config}" "$@"
	;;
version | members | info | kv | operator | catalog | services | monitor | leave | reload) set -- consul "$@" ;;
esac
if [ "$1" = consul ] && [ -z "${CONSUL_DISABLE_PERM_MGMT+x}" ]; then
	set -- setpriv --reuid=100 --regid=1000 --clear-groups "$@"
fi
exec "$@"

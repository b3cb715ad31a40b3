#!/bin/sh
# Options alone are options of the server, as in the official image.
set -e
case "$1" in
-*) set -- nats-server "$@" ;;
esac
exec "$@"

#!/usr/bin/env bash
# Makes every image of the compose stack on this machine without a container
# registry: Debian's packages, the Go module proxy and Maven Central suffice.
#
#   images.sh                 make what is missing, pull nothing
#   images.sh --if-needed     the same, but pull a base image where that works
#   images.sh --stop-engine   end the Docker Engine that an earlier run started
#
# The stand-ins have the names, tags, ports, entry points and user ids of the
# official images, so that docker-compose.yml stays as users run it, and carry
# the label kitmesh.standin=true. An image that is there already, pulled or
# made, is never replaced. Run again at any time: what exists is skipped.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
plugins="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
engine_pid="${TMPDIR:-/tmp}/kitmesh-dockerd.pid"
engine_log="${TMPDIR:-/tmp}/kitmesh-dockerd.log"

# The base images are named once, in the files that users run.
golang=$(awk '$1 == "FROM" && $2 ~ /^golang:/ { print $2; exit }' "$root/Dockerfile")
consul=$(awk '$1 == "image:" && $2 ~ /^hashicorp\/consul:/ { print $2; exit }' "$root/docker-compose.yml")
nats=$(awk '$1 == "image:" && $2 ~ /^nats:/ { print $2; exit }' "$root/docker-compose.yml")
zipkin=$(awk '$1 == "image:" && $2 ~ /^openzipkin\/zipkin:/ { print $2; exit }' "$root/docker-compose.yml")
bookworm=kitmesh-offline/bookworm:1

zipkin_version=3.5.1
zipkin_sha256=7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d
compose_version=v2.40.3
buildx_version=v0.29.1

say() { printf 'images: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package NAME COMMAND: the command is there, if need be by Debian's package.
package() {
	command -v "$2" >/dev/null && return
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
		fail "$2 is missing: install the package $1 (this script does it itself as root on Debian)"
	say "installing $1"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

engine() {
	package docker.io docker
	docker info >/dev/null 2>&1 && return
	[ "$(id -u)" = 0 ] || fail "no Docker Engine answers: start it, or run this as root"
	package docker.io dockerd
	kernel_ready
	setsid dockerd >"$engine_log" 2>&1 </dev/null &
	echo $! >"$engine_pid"
	for _ in $(seq 60); do
		if docker info >/dev/null 2>&1; then
			say "started dockerd (pid $(cat "$engine_pid"), log $engine_log); end it with: $0 --stop-engine"
			return
		fi
		sleep 0.5
	done
	fail "dockerd does not answer within 30 s: see $engine_log"
}

# kernel_ready gives dockerd what a machine without an init system may lack.
kernel_ready() {
	if ! mountpoint -q /sys/fs/cgroup; then
		package cgroupfs-mount cgroupfs-mount
		cgroupfs-mount
	fi
	if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
		package apparmor apparmor_parser
	fi
}

stop_engine() {
	[ -f "$engine_pid" ] || { say "no Docker Engine was started by this script"; return; }
	local pid
	pid=$(cat "$engine_pid")
	rm -f "$engine_pid"
	[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || { say "dockerd $pid has ended already"; return; }
	kill "$pid"
	for _ in $(seq 60); do
		[ -d "/proc/$pid" ] || { say "ended dockerd $pid"; return; }
		sleep 0.5
	done
	fail "dockerd $pid does not end within 30 s"
}

# plugin NAME MODULE PACKAGE LDFLAGS: docker's CLI knows the subcommand.
plugin() {
	docker "$1" version >/dev/null 2>&1 && return
	say "building docker $1 once from its sources into $plugins: some minutes"
	mkdir -p "$plugins"
	(cd "$root/tools/$1" && go build -trimpath -ldflags "-s -w $4" -o "$plugins/docker-$1" "$3")
	docker "$1" version >/dev/null || fail "docker $1 does not run after its build"
}

plugins_there() {
	plugin buildx buildx github.com/docker/buildx/cmd/buildx \
		"-X github.com/docker/buildx/version.Version=$buildx_version"
	plugin compose compose github.com/docker/compose/v2/cmd \
		"-X github.com/docker/compose/v2/internal.Version=$compose_version"
}

have() { docker image inspect "$1" >/dev/null 2>&1; }

pull=no
# pulled IMAGE: it came from the registry. The first failure ends the attempts:
# a machine without a registry would wait for each.
pulled() {
	[ "$pull" = yes ] || return 1
	say "pulling $1"
	timeout 300 docker pull -q "$1" >/dev/null 2>"$work/pull" && return
	pull=no
	say "no registry in reach ($(tail -n 1 "$work/pull" | cut -c1-120)): making stand-ins"
	return 1
}

# image NAME MAKER: the image is there, or is pulled, or is made.
image() {
	if have "$1"; then
		say "$1 is there"
	elif ! pulled "$1"; then
		local from=$SECONDS
		"$2" "$1"
		say "$1 made in $((SECONDS - from)) s"
	fi
}

build() { DOCKER_BUILDKIT=1 docker build -q -t "$1" -f "$here/$2" "$3" >/dev/null; }

base() {
	have "$bookworm" && return
	package debootstrap debootstrap
	[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
	say "making $bookworm"
	debootstrap --variant=minbase --include=ca-certificates,curl,git,wget bookworm \
		"$work/rootfs" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$work/debootstrap" ||
		fail "debootstrap failed: $(tail -n 1 "$work/debootstrap")"
	# Builds inside trust whom this machine trusts: a proxy's authority, for example.
	cp /etc/ssl/certs/ca-certificates.crt "$work/rootfs/etc/ssl/certs/ca-certificates.crt"
	rm -rf "$work/rootfs/var/cache/apt/archives" "$work"/rootfs/var/lib/apt/lists/*
	tar -C "$work/rootfs" -c . | docker import \
		-c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		-c 'LABEL kitmesh.standin=true' - "$bookworm" >/dev/null
	rm -rf "$work/rootfs"
}

make_golang() {
	base
	build "$1" golang.Dockerfile "$(go env GOROOT)"
}

make_consul() {
	base
	[ -x "$root/bin/consul" ] || make -C "$root" bin/consul >&2
	mkdir "$work/consul"
	cp "$root/bin/consul" "$here/consul-entrypoint.sh" "$work/consul/"
	build "$1" consul.Dockerfile "$work/consul"
}

make_nats() {
	base
	mkdir "$work/nats"
	(cd "$root" && CGO_ENABLED=0 GOBIN='' go build -mod=mod -modfile="$(modfile)" -trimpath -ldflags "-s -w" \
		-o "$work/nats/nats-server" github.com/nats-io/nats-server/v2)
	cp "$here/nats-entrypoint.sh" "$work/nats/"
	build "$1" nats.Dockerfile "$work/nats"
}

# modfile copies go.mod: building nats-server's own main package may add
# requirements that the product does not have.
modfile() {
	cp "$root/go.mod" "$work/nats.mod"
	cp "$root/go.sum" "$work/nats.sum"
	echo "$work/nats.mod"
}

make_zipkin() {
	base
	package maven mvn
	mkdir "$work/zipkin"
	(cd "$work/zipkin" && mvn -q -B dependency:copy \
		-Dartifact="io.zipkin:zipkin-server:$zipkin_version:jar:exec" -DoutputDirectory=.) >&2
	mv "$work/zipkin/zipkin-server-$zipkin_version-exec.jar" "$work/zipkin/zipkin.jar"
	echo "$zipkin_sha256  $work/zipkin/zipkin.jar" | sha256sum -c --quiet - ||
		fail "the Zipkin jar is not the one that was pinned"
	cp "$here/start-zipkin" "$here/docker-healthcheck" "$work/zipkin/"
	build "$1" zipkin.Dockerfile "$work/zipkin"
}

case "${1:-}" in
"") ;;
--if-needed) pull=yes ;;
--stop-engine) stop_engine; exit ;;
*) echo "usage: $0 [--if-needed | --stop-engine]" >&2; exit 2 ;;
esac

for name in "$golang" "$consul" "$nats" "$zipkin"; do
	[ -n "$name" ] || fail "a base image is no longer named in Dockerfile or docker-compose.yml"
done
engine
plugins_there
image "$golang" make_golang
image "$consul" make_consul
image "$nats" make_nats
image "$zipkin" make_zipkin
say "building the shop's image"
docker compose -f "$root/docker-compose.yml" --progress quiet build
say "every image is there"

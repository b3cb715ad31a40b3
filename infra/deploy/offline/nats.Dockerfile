# nats:<tag>-alpine; the context holds the binary and the entry point.
FROM kitmesh-offline/bookworm:1
COPY nats-server /usr/local/bin/nats-server
COPY nats-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN mkdir -p /etc/nats && printf 'http: 8222\n' >/etc/nats/nats-server.conf
EXPOSE 4222 6222 8222
LABEL kitmesh.standin=true
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["nats-server", "--config", "/etc/nats/nats-server.conf"]

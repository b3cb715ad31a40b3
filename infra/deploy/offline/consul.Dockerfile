# hashicorp/consul; the context holds the binary and the entry point.
FROM kitmesh-offline/bookworm:1
RUN mkdir -p /consul/data /consul/config && chown -R 100:1000 /consul
COPY consul /bin/consul
COPY consul-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /consul/data
EXPOSE 8300 8301 8301/udp 8302 8302/udp 8500 8600 8600/udp
LABEL kitmesh.standin=true
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["agent", "-dev", "-client", "0.0.0.0"]

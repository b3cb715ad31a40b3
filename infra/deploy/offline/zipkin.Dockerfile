# openzipkin/zipkin; the context holds the server's jar and two scripts.
FROM kitmesh-offline/bookworm:1
RUN apt-get update && \
    apt-get install -y --no-install-recommends openjdk-17-jre-headless unzip && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 1000 --user-group --home-dir /zipkin --no-create-home zipkin
WORKDIR /zipkin
COPY zipkin.jar /tmp/zipkin.jar
RUN unzip -q /tmp/zipkin.jar && rm /tmp/zipkin.jar && chown -R zipkin:zipkin /zipkin
COPY start-zipkin docker-healthcheck /usr/local/bin/
USER zipkin
EXPOSE 9410 9411
HEALTHCHECK --interval=5s --start-period=30s --timeout=5s CMD ["docker-healthcheck"]
LABEL kitmesh.standin=true
ENTRYPOINT ["start-zipkin"]

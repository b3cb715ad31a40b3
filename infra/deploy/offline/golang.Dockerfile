# golang:1.26-bookworm; the context is this machine's GOROOT.
FROM kitmesh-offline/bookworm:1
COPY . /usr/local/go
ENV GOPATH=/go GOTOOLCHAIN=local \
    PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN mkdir -p /go/src /go/bin && chmod -R 1777 /go
WORKDIR /go
LABEL kitmesh.standin=true

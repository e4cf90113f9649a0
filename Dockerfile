# A static binary on an image with nothing else, as a user without rights.
#
#   docker build --build-arg VERSION=v1.0.0 --build-arg COMMIT=$(git rev-parse HEAD) -t belfry .
#   docker run --network host --stop-timeout 35 -v belfry:/data belfry serve --data /data --nats-config /etc/belfry/nats.conf
#   docker run --network host --stop-timeout 35 -v belfry:/data belfry
#
# A stop takes at most 28 s, and Docker kills after 10 s unless it is told to wait.
# The health check asks whether the process is alive: one that waits for NATS, or reads
# a large store, is not to be killed. Ask "belfry status --quiet" whether it is ready.
# With --tls-cert or another --listen, BELFRY_SERVER tells the health check where.
#
# The first of the two runs makes a new store, so it leaves --existing-data out. The
# second one is how all others go: without the data they refuse to start.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /belfry ./cmd/belfry \
    && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /belfry /belfry
COPY --from=build --chown=nonroot:nonroot /data /data
COPY nats.conf /etc/belfry/nats.conf
USER nonroot
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/belfry", "status", "--alive"]
ENTRYPOINT ["/belfry"]
CMD ["serve", "--data", "/data", "--existing-data", "--nats-config", "/etc/belfry/nats.conf", "--log-format", "json"]

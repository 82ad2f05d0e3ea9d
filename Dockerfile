# One image that takes the place of apache/kafka, confluentinc/cp-kafka, bitnami/kafka and wurstmeister/kafka. README, "Swap it for Kafka".
#
#   docker build -t ottla .          compiles, RocksDB too: a quarter of an hour on two cores
#   scripts/image.sh [-t NAME]       with the binary that is built already (--build-arg BINARY=given, and the binary as `ottla` in the context)
#
# BuildKit makes only those stages that the last one needs.
ARG BINARY=compiled
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS compiled
RUN apt-get update && apt-get install -y --no-install-recommends clang libclang-dev cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY tests tests
COPY benches benches
RUN CARGO_INCREMENTAL=0 cargo build --release --locked --bin ottla && strip -o /ottla target/release/ottla

FROM scratch AS given
COPY ottla /ottla

FROM ${BINARY} AS binary

FROM ${RUNTIME_IMAGE}
# nc and netstat are for people's health checks; bash, sed, awk and hostname are in the base.
RUN apt-get update \
    && apt-get install -y --no-install-recommends netcat-openbsd net-tools \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

COPY deploy/image/rootfs /
COPY deploy/image/setup /tmp/setup
COPY --from=binary /ottla /usr/bin/ottla
# It makes a link for each tool that the binary has.
RUN /tmp/setup && rm /tmp/setup

ENV OTTLA_IMAGE=auto \
    KAFKA_HOME=/opt/kafka \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/kafka/bin:/opt/bitnami/kafka/bin
EXPOSE 9092
VOLUME /var/lib/kafka/data
WORKDIR /home/appuser
# apache's and Confluent's user, in the group that owns every folder of the image: whoever runs it under another id (user: "1001") can write, too.
USER 1000:0
# No entry point: Testcontainers' modules and many compose files replace the command alone.
CMD ["ottla", "image", "start"]

ARG BASE=debian:bookworm-slim
FROM $BASE
RUN apt-get update && apt-get install -y --no-install-recommends iptables nftables conntrack kmod && rm -rf /var/lib/apt/lists/*
COPY kube-proxy /usr/local/bin/

#!/bin/bash
# Prints the brokers that BROKER_ID and its like would be counted from: this one, for it is its own cluster.
echo "${HOSTNAME:-$(hostname)}:9092"

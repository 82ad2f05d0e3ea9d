"""Speaks Kafka's wire protocol from Kafka's own message schemas, so that the comparison shares no code with any client or broker."""

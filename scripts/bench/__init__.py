"""Measures Ottla and Apache Kafka side by side on one machine, in turn, under the same load and for the same guarantees; `python3 -m bench` with scripts/ on the path.

Where what is: `workloads` says what is measured, `runner` in which order, `contenders` how the brokers are started, `generator` and `kafka_tools` what loads them,
`figures` and `goals` what is computed, `table`, `markdown` and `page` how it is shown. It must never end a process that it did not start, and never show a
figure that it did not measure.
"""

#!/bin/bash
# In the wurstmeister/kafka image this makes the topics of KAFKA_CREATE_TOPICS. Here the broker makes them before it says that it has started.
exit 0

package compat;

import java.util.List;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;

/** The calls that the shared course needs and that differ between kafka-clients 2.8 and 4.3: here as 4.3 has them. */
final class Compat {
    private Compat() {}

    static String groupAssignor(String group) {
        try (Admin admin = Kit.admin()) {
            return Kit.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group)).partitionAssignor();
        }
    }

    static TopicDescription describe(Admin admin, String topic) {
        return Kit.get(admin.describeTopics(List.of(topic)).topicNameValues().get(topic));
    }
}

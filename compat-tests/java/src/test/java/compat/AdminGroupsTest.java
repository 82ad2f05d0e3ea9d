package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Admin on groups: listing, describing, offsets from outside, removing members, deleting. */
class AdminGroupsTest {
    private static Admin admin;

    @BeforeAll
    static void open() {
        admin = Kit.admin();
    }

    @AfterAll
    static void close() {
        admin.close();
    }

    @Test
    void aLiveGroupIsListedDescribedAndProtected() {
        String topic = Kit.topic("live", 3);
        String group = Kit.unique("live");
        Kit.fill(topic, 0, 10);
        try (Member first = member(group, topic, "client.id", "first-client");
                Member second = member(group, topic, "group.instance.id", "inst")) {
            Member.awaitShares(List.of(first, second), Kit.partitions(topic, 3), 1, 2);
            ConsumerGroupDescription described = Kit.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
            assertEquals(GroupState.STABLE, described.groupState());
            assertEquals(GroupType.CLASSIC, described.type());
            assertEquals("range", described.partitionAssignor());
            assertFalse(described.isSimpleConsumerGroup());
            assertEquals(Kit.get(admin.describeCluster().controller()).id(), described.coordinator().id());
            Map<String, MemberDescription> members = described.members().stream().collect(Collectors.toMap(MemberDescription::consumerId, m -> m));
            assertEquals(Set.of(first.memberId(), second.memberId()), members.keySet());
            assertEquals(first.assignment(), members.get(first.memberId()).assignment().topicPartitions());
            assertEquals("first-client", members.get(first.memberId()).clientId());
            assertTrue(members.get(first.memberId()).host().startsWith("/127."), members.get(first.memberId()).host());
            assertEquals(Optional.empty(), members.get(first.memberId()).groupInstanceId());
            assertEquals(Optional.of("inst"), members.get(second.memberId()).groupInstanceId());

            ClassicGroupDescription classic = Kit.get(admin.describeClassicGroups(List.of(group)).describedGroups().get(group));
            assertEquals("consumer", classic.protocol());
            assertEquals("range", classic.protocolData());
            assertEquals(2, classic.members().size());

            Kit.fails(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all());
            TopicPartition tp = new TopicPartition(topic, 0);
            Kit.fails(UnknownMemberIdException.class, admin.alterConsumerGroupOffsets(group, Map.of(tp, new OffsetAndMetadata(1))).all());
            Kit.fails(GroupSubscribedToTopicException.class, admin.deleteConsumerGroupOffsets(group, Set.of(tp)).partitionResult(tp));
            assertListed(group, GroupState.STABLE);
        }
    }

    private static Member member(String group, String topic, Object... pairs) {
        Object[] settings = new Object[pairs.length + 2];
        settings[0] = "partition.assignment.strategy";
        settings[1] = RangeAssignor.class.getName();
        System.arraycopy(pairs, 0, settings, 2, pairs.length);
        return new Member(group, topic, settings);
    }

    private static void assertListed(String group, GroupState state) {
        for (ListGroupsOptions options : List.of(
                new ListGroupsOptions(),
                new ListGroupsOptions().inGroupStates(Set.of(state)),
                new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)),
                ListGroupsOptions.forConsumerGroups())) {
            GroupListing listing = find(group, options);
            assertEquals(Optional.of(state), listing.groupState());
            assertEquals(Optional.of(GroupType.CLASSIC), listing.type());
            assertEquals("consumer", listing.protocol());
        }
        GroupState other = state == GroupState.STABLE ? GroupState.EMPTY : GroupState.STABLE;
        assertFalse(list(new ListGroupsOptions().inGroupStates(Set.of(other))).containsKey(group));
    }

    private static GroupListing find(String group, ListGroupsOptions options) {
        GroupListing listing = list(options).get(group);
        assertTrue(listing != null, group + " is not listed with " + options);
        return listing;
    }

    private static Map<String, GroupListing> list(ListGroupsOptions options) {
        Collection<GroupListing> all = Kit.get(admin.listGroups(options).all());
        return all.stream().collect(Collectors.toMap(GroupListing::groupId, listing -> listing));
    }

    @Test
    void offsetsAreSetReadAndDeletedFromOutside() {
        String topic = Kit.topic("outside", 3);
        String group = Kit.unique("outside");
        List<TopicPartition> all = Kit.partitions(topic, 3);
        Kit.fill(topic, 0, 20);
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        offsets.put(all.get(0), new OffsetAndMetadata(15, Optional.of(0), "from outside"));
        offsets.put(all.get(1), new OffsetAndMetadata(0));
        Kit.get(admin.alterConsumerGroupOffsets(group, offsets).all());
        assertEquals(offsets, committed(group));
        ConsumerGroupDescription described = Kit.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
        assertEquals(GroupState.EMPTY, described.groupState());
        assertTrue(described.isSimpleConsumerGroup());
        assertEquals(Optional.of(GroupState.EMPTY), find(group, new ListGroupsOptions()).groupState());

        try (Member member = member(group, topic)) {
            Kit.await("five records", 20, () -> member.assignment().size() == 3 && member.records.size() >= 5);
            assertEquals(Kit.numbers(15, 20), Kit.values(member.records));
        }
        assertEquals(20, committed(group).get(all.get(0)).offset());
        assertListed(group, GroupState.EMPTY);
        Kit.get(admin.deleteConsumerGroupOffsets(group, Set.of(all.get(0))).all());
        assertEquals(Set.of(all.get(1)), committed(group).keySet());
        Kit.get(admin.deleteConsumerGroups(List.of(group)).all());
        assertFalse(list(new ListGroupsOptions()).containsKey(group));
        assertEquals(Map.of(), committed(group));
    }

    private static Map<TopicPartition, OffsetAndMetadata> committed(String group) {
        return Kit.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    @Test
    void offsetsOfSeveralGroupsComeInOneAnswer() {
        String topic = Kit.topic("several", 2);
        Map<String, ListConsumerGroupOffsetsSpec> asked = new HashMap<>();
        List<TopicPartition> all = Kit.partitions(topic, 2);
        String one = Kit.unique("several");
        String two = Kit.unique("several");
        Kit.get(admin.alterConsumerGroupOffsets(one, Map.of(all.get(0), new OffsetAndMetadata(11))).all());
        Kit.get(admin.alterConsumerGroupOffsets(two, Map.of(all.get(1), new OffsetAndMetadata(22))).all());
        asked.put(one, new ListConsumerGroupOffsetsSpec().topicPartitions(all));
        asked.put(two, new ListConsumerGroupOffsetsSpec());
        Map<String, Map<TopicPartition, OffsetAndMetadata>> answer = Kit.get(admin.listConsumerGroupOffsets(asked).all());
        assertEquals(11, answer.get(one).get(all.get(0)).offset());
        assertTrue(answer.get(one).containsKey(all.get(1)));
        assertEquals(null, answer.get(one).get(all.get(1)));
        assertEquals(Map.of(all.get(1), new OffsetAndMetadata(22)), answer.get(two));
    }

    @Test
    void aDeletedTopicTakesItsCommittedOffsetsWithIt() {
        String topic = Kit.topic("gone", 1);
        String stays = Kit.topic("stays", 1);
        String group = Kit.unique("gone");
        TopicPartition kept = new TopicPartition(stays, 0);
        Kit.get(admin.alterConsumerGroupOffsets(group, Map.of(
                new TopicPartition(topic, 0), new OffsetAndMetadata(1), kept, new OffsetAndMetadata(2))).all());
        Kit.get(admin.deleteTopics(List.of(topic)).all());
        Kit.awaitEquals(Set.of(kept), 15, () -> committed(group).keySet());
    }

    @Test
    void membersAreRemovedByInstanceAndAllTogether() {
        String topic = Kit.topic("removed", 2);
        String group = Kit.unique("removed");
        List<TopicPartition> all = Kit.partitions(topic, 2);
        try (Member stays = member(group, topic)) {
            // The static member goes without leaving; only the session timeout or the admin removes it.
            try (Member leaves = member(group, topic, "group.instance.id", "leaver", "session.timeout.ms", 40_000)) {
                Member.awaitShares(List.of(stays, leaves), all, 1, 1);
            }
            Kit.get(admin.removeMembersFromConsumerGroup(
                    group, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("leaver")))).all());
            Member.awaitShares(List.of(stays), all, 2);
            MemberToRemove stranger = new MemberToRemove("stranger");
            Kit.fails(UnknownMemberIdException.class, admin.removeMembersFromConsumerGroup(
                    group, new RemoveMembersFromConsumerGroupOptions(Set.of(stranger))).memberResult(stranger));
            String old = stays.memberId();
            Kit.get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
            Kit.await("the removed member's return", 20, () -> !stays.memberId().equals(old) && stays.assignment().size() == 2);
        }
    }

    @Test
    void groupsThatAreNotThereSaySo() {
        String group = Kit.unique("nobody");
        Kit.fails(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(group)).all());
        Kit.fails(GroupIdNotFoundException.class, admin.describeConsumerGroups(List.of(group)).all());
        TopicPartition tp = new TopicPartition(Kit.topic("nobody", 1), 0);
        Kit.fails(GroupIdNotFoundException.class, admin.deleteConsumerGroupOffsets(group, Set.of(tp)).partitionResult(tp));
        assertEquals(Map.of(), committed(group));
        try (KafkaConsumer<String, String> consumer = Kit.consumer("group.id", group)) {
            assertEquals(null, consumer.committed(Set.of(tp)).get(tp));
        }
    }
}

use super::*;

#[test]
fn sync_stores_the_assignments_and_answers_all() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default(), Join::default()]);
    let follower = bench.sync_as(&ids[1], |request| {
        // Only the leader's word counts.
        request.assignments.insert(ids[2].as_str().into(), Bytes::from_static(b"mine"));
    });
    assert!(bench.sync_reply(follower).is_none());
    let leader = bench.lead_sync(&[(&ids[0], "first"), (&ids[1], "second"), ("stranger", "none")]);
    assert_eq!(bench.group.state, CompletingRebalance);
    let (stored, then) = bench.store().unwrap();
    assert_eq!((stored.generation, stored.protocol.as_deref(), stored.members.len()), (1, Some("range"), 3));
    let shares: Vec<&[u8]> = stored.members.iter().map(|m| &m.assignment[..]).collect();
    assert_eq!(shares, [&b"first"[..], b"second", b""]);
    assert_eq!(&stored.members[0].subscription[..], b"meta");
    bench.stored(then, None);
    assert_eq!(bench.group.state, Stable);
    for (token, share) in [(leader, "first"), (follower, "second")] {
        let reply = bench.sync_reply(token).unwrap();
        assert_eq!((reply.error, &reply.assignment[..]), (None, share.as_bytes()));
        assert_eq!((reply.protocol_type.as_deref(), reply.protocol_name.as_deref()), (Some("test"), Some("range")));
    }
    assert_eq!(bench.session_ms(&ids[1]), Some(10_000));
    // The third comes late and gets what it was given: nothing. With it, all have synced.
    let late = bench.sync_as(&ids[2], |_| ());
    assert_eq!(bench.sync_reply(late).unwrap().assignment.len(), 0);
    assert!(bench.actions.contains(&Action::CancelTimer(GroupTimer::Phase(PhaseTimer::Sync))));
}

#[test]
fn sync_errors_come_in_kafkas_order() {
    let mut bench = Bench::new();
    let token = bench.sync_as("m", |_| ());
    assert_eq!(bench.sync_error(token), Some(ResponseError::UnknownMemberId));
    let ids = bench.joined(&[static_member("one")]);
    let id = ids[0].clone();
    let error = |bench: &mut Bench, member: &str, change: &dyn Fn(&mut SyncRequest)| {
        let token = bench.sync_as(member, |request| change(request));
        bench.sync_error(token)
    };
    let fenced: &dyn Fn(&mut SyncRequest) = &|r| (r.instance_id, r.generation) = (Some("one".into()), 9);
    assert_eq!(error(&mut bench, "other", fenced), Some(ResponseError::FencedInstanceId));
    let unknown_instance: &dyn Fn(&mut SyncRequest) = &|r| r.instance_id = Some("two".into());
    assert_eq!(error(&mut bench, &id, unknown_instance), Some(ResponseError::UnknownMemberId));
    let old: &dyn Fn(&mut SyncRequest) = &|r| (r.generation, r.protocol_name) = (0, Some("other".into()));
    assert_eq!(error(&mut bench, &id, old), Some(ResponseError::IllegalGeneration));
    let other_type: &dyn Fn(&mut SyncRequest) = &|r| r.protocol_type = Some("other".into());
    assert_eq!(error(&mut bench, &id, other_type), Some(ResponseError::InconsistentGroupProtocol));
    let other_name: &dyn Fn(&mut SyncRequest) = &|r| r.protocol_name = Some("other".into());
    assert_eq!(error(&mut bench, &id, other_name), Some(ResponseError::InconsistentGroupProtocol));
    bench.rejoin(&id, &Join { instance: Some("one"), ..with_metadata("changed") });
    bench.join(&Join { member_id_required: true, ..Join::default() });
    bench.rejoin(&id, &Join { instance: Some("one"), ..with_metadata("again") });
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(error(&mut bench, &id, &|_| ()), Some(ResponseError::RebalanceInProgress));
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(error(&mut bench, &id, &|_| ()), Some(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn a_rebalance_sends_waiting_syncs_back() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let waiting = bench.sync_as(&ids[1], |_| ());
    bench.join(&Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.sync_error(waiting), Some(ResponseError::RebalanceInProgress));
    assert_eq!(bench.sync_reply(waiting).unwrap().protocol_name, None);
}

#[test]
fn assignments_of_an_older_generation_are_of_no_use() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default()]);
    bench.lead_sync(&[(&ids[0], "old")]);
    let (_, old) = bench.store().unwrap();
    bench.rejoin(&ids[0], &with_metadata("changed"));
    assert_eq!((bench.group.state, bench.group.generation), (CompletingRebalance, 2));
    bench.stored(old, None);
    assert_eq!(bench.group.state, CompletingRebalance);
    assert!(bench.actions.is_empty());
    assert_eq!(bench.group.assignment(&ids[0]).map(Bytes::len), Some(0));
}

#[test]
fn assignments_that_were_not_stored_begin_a_new_rebalance() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let follower = bench.sync_as(&ids[1], |_| ());
    let leader = bench.lead_sync(&[]);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, Some(ResponseError::CoordinatorNotAvailable));
    assert_eq!(bench.group.state, PreparingRebalance);
    for token in [follower, leader] {
        assert_eq!(bench.sync_error(token), Some(ResponseError::CoordinatorNotAvailable));
    }
}

#[test]
fn heartbeats_answer_by_state() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat("m", 0), Err(ResponseError::UnknownMemberId));
    let ids = bench.joined(&[Join::default(), Join::default()]);
    assert_eq!(bench.heartbeat(&ids[0], 1), Ok(()), "while assignments are awaited");
    assert_eq!(bench.session_ms(&ids[0]), Some(10_000));
    assert_eq!(bench.heartbeat(&ids[0], 0), Err(ResponseError::IllegalGeneration));
    assert_eq!(bench.heartbeat("m", 0), Err(ResponseError::UnknownMemberId));
    bench.rejoin(&ids[0], &with_metadata("changed"));
    assert_eq!(bench.heartbeat(&ids[1], 1), Err(ResponseError::RebalanceInProgress));
    assert_eq!(bench.session_ms(&ids[1]), Some(10_000), "a rebalance does not end sessions");
    let fenced = bench.call(|group, calls| group.heartbeat("m", Some("none"), 1, calls));
    assert_eq!(fenced, Err(ResponseError::UnknownMemberId));
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.heartbeat(&ids[0], 1), Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn members_leave_in_batches_each_with_its_own_result() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), static_member("two"), Join::default(), Join::default()]);
    let pending = bench.join(&Join { member_id_required: true, ..Join::default() });
    let pending = bench.join_reply(pending).unwrap().member_id.to_string();
    let results = bench.leave(&[
        ("", Some("one")),
        ("", Some("nobody")),
        ("", None),
        ("wrong", Some("two")),
        ("stranger", None),
        (&ids[2], None),
        (&pending, None),
    ]);
    let unknown = Err(ResponseError::UnknownMemberId);
    let expected = [Ok(()), unknown, unknown, Err(ResponseError::FencedInstanceId), unknown, Ok(()), Ok(())];
    assert_eq!(results, expected);
    assert_eq!(bench.member_ids(), [ids[1].clone(), ids[3].clone()]);
    assert_eq!(bench.group.state, PreparingRebalance);
    assert!(bench.group.pending_join.is_empty());
    // The last ones go: the group is empty, and that is stored.
    bench.leave(&[(&ids[1], Some("two")), (&ids[3], None)]);
    assert_eq!(bench.group.state, Empty);
    let (stored, then) = bench.store().unwrap();
    assert_eq!((stored.members.len(), stored.generation, stored.protocol, stored.leader), (0, 2, None, None));
    assert_eq!((&*stored.protocol_type, stored.state_timestamp_ms, then), ("test", bench.now_ms, AfterStore::Empty));
    assert_eq!(bench.leave(&[(&ids[3], None)]), [unknown]);
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    let dead = bench.call(|group, calls| group.leave(&[], calls));
    assert_eq!(dead, Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn leaving_answers_what_the_member_waits_for() {
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    bench.leave(&[(&id, None)]);
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::UnknownMemberId), ""));
    // Its first rebalance goes on, without members, and ends in the next empty generation.
    assert_eq!(bench.group.state, PreparingRebalance);
    bench.end_join_phase();
    assert_eq!((bench.group.state, bench.group.generation), (Empty, 1));
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let token = bench.sync_as(&ids[1], |_| ());
    bench.leave(&[(&ids[1], None)]);
    assert_eq!(bench.sync_error(token), Some(ResponseError::UnknownMemberId));
}

#[test]
fn sessions_end() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default()]);
    bench.end_session("stranger");
    assert!(bench.actions.is_empty());
    bench.end_session(&ids[0]);
    assert_eq!((bench.group.state, bench.group.leader.as_deref()), (PreparingRebalance, Some(ids[1].as_str())));
    // While its join waits, a member is alive ...
    let token = bench.rejoin(&ids[1], &Join::default());
    assert_eq!(bench.join_error(token), None);
    let waiting = bench.sync_as(&ids[1], |_| ());
    bench.end_session(&ids[1]);
    assert_eq!(bench.group.members.len(), 1);
    assert!(bench.sync_reply(waiting).is_none());
    // ... unless it is new, and its client's death would go unnoticed.
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    bench.end_session(&id);
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::UnknownMemberId), ""));
    assert_eq!((bench.group.state, bench.group.generation), (Empty, 1));
}

#[test]
fn who_may_commit_offsets() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit("", -1), Ok(()), "an empty group's offsets are anybody's");
    assert_eq!(bench.commit("m", -1), Ok(()));
    assert_eq!(bench.commit("m", 0), Err(ResponseError::UnknownMemberId));
    let ids = bench.joined(&[static_member("one")]);
    assert_eq!(bench.commit(&ids[0], 1), Err(ResponseError::RebalanceInProgress));
    bench.lead_sync(&[]);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, None);
    assert_eq!(bench.commit(&ids[0], 1), Ok(()));
    assert_eq!(bench.session_ms(&ids[0]), Some(10_000), "a commit is a sign of life");
    assert_eq!(bench.commit("", -1), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.commit("", 1), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.commit(&ids[0], -1), Err(ResponseError::IllegalGeneration));
    assert_eq!(bench.commit(&ids[0], 2), Err(ResponseError::IllegalGeneration));
    let fenced = bench.call(|group, calls| group.commit_offsets("other", Some("one"), 1, calls));
    assert_eq!(fenced, Err(ResponseError::FencedInstanceId));
    bench.join(&Join { member_id_required: true, ..Join::default() });
    bench.rejoin(&ids[0], &Join { instance: Some("one"), ..with_metadata("changed") });
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.commit(&ids[0], 1), Ok(()), "of the generation that ends");
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.commit("", -1), Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn deletion_is_for_empty_groups() {
    let mut bench = Bench::new();
    assert_eq!(bench.group.validate_delete(), Ok(()));
    assert_eq!(bench.group.validate_offset_delete(), Ok(()));
    bench.stable(&[Join::default()]);
    assert_eq!(bench.group.validate_delete(), Err(ResponseError::NonEmptyGroup));
    assert_eq!(bench.group.validate_offset_delete(), Err(ResponseError::NonEmptyGroup));
    let mut bench = Bench::new();
    bench.stable(&[Join { protocol_type: "consumer", ..Join::default() }]);
    assert_eq!(bench.group.validate_delete(), Err(ResponseError::NonEmptyGroup));
    assert_eq!(bench.group.validate_offset_delete(), Ok(()));
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.group.validate_delete(), Err(ResponseError::GroupIdNotFound));
    assert_eq!(bench.group.validate_offset_delete(), Err(ResponseError::GroupIdNotFound));
}

#[test]
fn subscriptions_are_read_from_consumers_only() {
    // Version 3, topics "a" and "bc", user data of two bytes, and fields of later versions.
    const BOTH: &str = "\0\x03\0\0\0\x02\0\x01a\0\x02bc\0\0\0\x02xy\0\0\0\0";
    const CUT: &str = "\0\x03\0\0\0\x02\0\x01a";
    let consumer = |metadata: &'static str| Join { protocol_type: "consumer", ..with_metadata(metadata) };
    let mut bench = Bench::new();
    bench.stable(&[consumer(BOTH)]);
    assert!(bench.group.knows_subscriptions());
    let subscribed = ["a", "bc", "b"].map(|topic| bench.group.is_subscribed_to(topic));
    assert_eq!(subscribed, [true, true, false]);
    let ids = bench.member_ids();
    bench.leave(&[(&ids[0], None)]);
    assert!(bench.group.knows_subscriptions() && !bench.group.is_subscribed_to("a"), "an empty group uses nothing");
    // What does not parse may mean any topic.
    let mut bench = Bench::new();
    bench.stable(&[consumer(BOTH), consumer(CUT)]);
    assert!(!bench.group.knows_subscriptions() && bench.group.is_subscribed_to("z"));
    let mut bench = Bench::new();
    bench.stable(&[with_metadata(BOTH)]);
    assert!(!bench.group.is_subscribed_to("a"));
}

#[test]
fn a_loaded_group_is_stable_and_its_sessions_begin() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), Join::default()]);
    let stored = bench.group.to_stored(|m| m.assignment.clone());
    bench.group = ClassicGroup::from_stored("group".into(), stored.clone());
    assert_eq!(bench.group.state, Stable);
    assert_eq!(bench.group.to_stored(|m| m.assignment.clone()), stored);
    bench.call(|group, calls| group.loaded(calls));
    assert_eq!(
        (bench.group.state, bench.session_ms(&ids[0]), bench.session_ms(&ids[1])),
        (Stable, Some(10_000), Some(10_000))
    );
    assert_eq!(bench.heartbeat(&ids[1], 1), Ok(()));
    // A limit that has been lowered since is enforced by a rebalance.
    bench.config.max_size = 1;
    bench.call(|group, calls| group.loaded(calls));
    assert_eq!(bench.group.state, PreparingRebalance);
}

#[test]
fn unloading_answers_everybody() {
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::NotCoordinator), id.as_str()));
    assert_eq!(bench.group.state, Dead);
    bench.end_session(&id);
    assert!(bench.actions.is_empty());
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let token = bench.sync_as(&ids[1], |_| ());
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.sync_error(token), Some(ResponseError::NotCoordinator));
}

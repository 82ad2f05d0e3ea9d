use super::*;

#[test]
fn a_first_member_waits_for_others_and_then_leads() {
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.join_timer_ms(), Some(3_000));
    let id = bench.member_ids()[0].clone();
    assert!(id.starts_with("client-"));
    assert_eq!(bench.session_ms(&id), Some(300_000), "a new member's wait is bounded by five minutes");
    assert!(bench.join_reply(token).is_none());
    bench.end_join_phase();
    let reply = bench.join_reply(token).unwrap().clone();
    assert_eq!((reply.error, reply.generation, reply.skip_assignment), (None, 1, false));
    assert_eq!((&*reply.leader, &*reply.member_id), (id.as_str(), id.as_str()));
    assert_eq!((reply.protocol_type.as_deref(), reply.protocol_name.as_deref()), (Some("test"), Some("range")));
    assert_eq!(&reply.members[0].metadata[..], b"meta");
    assert_eq!(bench.session_ms(&id), Some(10_000));
    assert_eq!(bench.timer_ms(&GroupTimer::Phase(PhaseTimer::Sync)), Some(60_000));
    assert_eq!(bench.store(), None, "nothing is stored before there are assignments");
}

#[test]
fn the_first_rebalance_is_put_off_while_members_arrive_but_not_for_ever() {
    let mut bench = Bench::new();
    let join = Join { rebalance_ms: 8_000, ..Join::default() };
    bench.join(&join);
    assert_eq!(bench.join_timer_ms(), Some(3_000));
    bench.join(&join);
    bench.end_join_phase();
    assert_eq!(bench.join_timer_ms(), Some(3_000), "5,000 remain");
    bench.join(&join);
    bench.end_join_phase();
    assert_eq!(bench.join_timer_ms(), Some(2_000), "2,000 remain");
    bench.join(&join);
    bench.end_join_phase();
    assert_eq!(bench.group.state, CompletingRebalance);
    assert_eq!(bench.group.members.len(), 4);
}

#[test]
fn a_dynamic_member_first_gets_its_id() {
    let mut bench = Bench::new();
    let required = Join { member_id_required: true, session_ms: 7_000, ..Join::default() };
    let token = bench.join(&required);
    let reply = bench.join_reply(token).unwrap().clone();
    assert_eq!((reply.error, reply.generation), (Some(ResponseError::MemberIdRequired), -1));
    assert_eq!((bench.group.state, bench.group.members.len()), (Empty, 0));
    assert_eq!(bench.session_ms(&reply.member_id), Some(7_000));
    assert!(!bench.group.is_untouched());
    bench.rejoin(&reply.member_id, &required);
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.member_ids(), [reply.member_id.to_string()]);
    // A static member needs none.
    bench.join(&Join { member_id_required: true, ..static_member("one") });
    assert_eq!(bench.group.members.len(), 2);
    // Whoever claims a pending id with an instance id is confused.
    let pending = bench.join(&required);
    let id = bench.join_reply(pending).unwrap().member_id.to_string();
    let token = bench.rejoin(&id, &static_member("two"));
    assert_eq!(bench.join_error(token), Some(ResponseError::UnknownServerError));
}

#[test]
fn ids_given_out_are_bounded() {
    let mut bench = Bench::new();
    let required = Join { member_id_required: true, ..Join::default() };
    let first = bench.join(&required);
    let eldest = bench.join_reply(first).unwrap().member_id.to_string();
    for _ in 0..crate::coordinator::group::config::MAX_PENDING_MEMBERS {
        bench.join(&required);
    }
    assert_eq!(bench.group.pending_join.len(), crate::coordinator::group::config::MAX_PENDING_MEMBERS);
    let token = bench.rejoin(&eldest, &required);
    assert_eq!(bench.join_error(token), Some(ResponseError::UnknownMemberId));
}

#[test]
fn protocols_must_fit() {
    let mut bench = Bench::new();
    for join in [Join { protocols: Vec::new(), ..Join::default() }, Join { protocol_type: "", ..Join::default() }] {
        let token = bench.join(&join);
        assert_eq!(bench.join_error(token), Some(ResponseError::InconsistentGroupProtocol));
        assert_eq!(bench.group.state, Empty);
    }
    let ids = bench.stable(&[with_protocols(&["a", "b"])]);
    for join in [with_protocols(&["c"]), Join { protocol_type: "other", ..with_protocols(&["a"]) }] {
        let token = bench.join(&join);
        let reply = bench.join_reply(token).unwrap();
        assert_eq!(reply.error, Some(ResponseError::InconsistentGroupProtocol));
        assert_eq!(&*reply.member_id, "");
        let token = bench.rejoin(&ids[0], &join);
        assert_eq!(&*bench.join_reply(token).unwrap().member_id, ids[0]);
        assert_eq!(bench.group.state, Stable);
    }
}

#[test]
fn most_votes_choose_the_protocol_among_those_that_all_support() {
    let mut bench = Bench::new();
    bench.joined(&[
        with_protocols(&["x", "b", "a"]),
        with_protocols(&["y", "a", "b"]),
        with_protocols(&["a", "y", "b"]),
    ]);
    assert_eq!(bench.group.protocol_name.as_deref(), Some("a"));
    assert_eq!(bench.group.generation, 1);
    // A protocol named twice counts once.
    let mut bench = Bench::new();
    let twice = Join { protocols: vec![("a", "1"), ("a", "2")], ..Join::default() };
    bench.call(|group, calls| {
        let request = JoinRequest {
            token: 1,
            member_id: "".into(),
            instance_id: None,
            client_id: "c".into(),
            client_host: "h".into(),
            protocol_type: "test".into(),
            protocols: twice
                .protocols
                .iter()
                .map(|(n, m)| Protocol { name: (*n).into(), metadata: (*m).into() })
                .collect(),
            session_timeout_ms: 1,
            rebalance_timeout_ms: 1,
            reason: None,
            member_id_required: false,
            can_skip_assignment: false,
            fresh_id: Uuid::nil(),
        };
        group.join(request, calls);
        assert_eq!(group.select_protocol().as_deref(), Some("a"));
        calls.actions.clear();
        group.dismiss("c-00000000-0000-0000-0000-000000000000", calls);
    });
    assert!(bench.group.protocol_counts.is_empty());
}

#[test]
fn the_largest_size_is_kept() {
    let mut bench = Bench::new();
    bench.config.max_size = 2;
    let ids = bench.stable(&[Join::default(), Join::default()]);
    let token = bench.join(&Join::default());
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::GroupMaxSizeReached), ""));
    // Members may come back.
    bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    // The limit is lowered while they do: the last to come is left out.
    bench.config.max_size = 1;
    let token = bench.rejoin(&ids[1], &Join::default());
    assert_eq!(bench.join_error(token), Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(bench.member_ids(), [ids[0].clone()]);
    // Who waits already may ask again.
    let token = bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.join_reply(token).unwrap().generation, 2);
}

#[test]
fn unknown_members_are_told_so_in_every_state() {
    let mut bench = Bench::new();
    let unknown = Join { member: "stranger".into(), ..Join::default() };
    let refused = |bench: &mut Bench, state: State| {
        assert_eq!(bench.group.state, state);
        let token = bench.join(&unknown);
        let reply = bench.join_reply(token).unwrap();
        assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::UnknownMemberId), "stranger"), "{state}");
    };
    refused(&mut bench, Empty);
    bench.join(&Join::default());
    refused(&mut bench, PreparingRebalance);
    bench.end_join_phase();
    refused(&mut bench, CompletingRebalance);
    bench.lead_sync(&[]);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, None);
    refused(&mut bench, Stable);
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    let token = bench.join(&unknown);
    assert_eq!(bench.join_error(token), Some(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn a_member_that_missed_its_reply_gets_it_again() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    for id in &ids {
        let token = bench.rejoin(id, &Join::default());
        let reply = bench.join_reply(token).unwrap();
        assert_eq!((reply.error, reply.generation), (None, 1));
        assert_eq!(reply.members.len(), if *id == ids[0] { 2 } else { 0 });
        assert_eq!(bench.group.state, CompletingRebalance);
    }
    bench.rejoin(&ids[1], &with_metadata("changed"));
    assert_eq!(bench.group.state, PreparingRebalance);
}

#[test]
fn in_a_stable_group_the_leader_or_changed_metadata_force_a_rebalance() {
    let follower_same = |bench: &mut Bench, ids: &[String]| bench.rejoin(&ids[1], &Join::default());
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default()]);
    let token = follower_same(&mut bench, &ids);
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, reply.generation, reply.members.len()), (None, 1, 0));
    assert_eq!(bench.group.state, Stable);
    bench.rejoin(&ids[1], &with_metadata("changed"));
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.join_timer_ms(), Some(60_000), "no initial delay: the rebalance time-out");

    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default()]);
    let leaders = bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    let followers = follower_same(&mut bench, &ids);
    // Everybody is there: the phase ends at once.
    assert_eq!(bench.group.state, CompletingRebalance);
    assert_eq!(bench.join_reply(leaders).unwrap().members.len(), 2);
    assert_eq!(bench.join_reply(followers).unwrap().generation, 2);
}

#[test]
fn a_join_repeated_while_the_first_waits_answers_both() {
    let mut bench = Bench::new();
    let first = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    let second = bench.rejoin(&id, &Join::default());
    assert_eq!(bench.join_error(first), Some(ResponseError::RebalanceInProgress));
    bench.end_join_phase();
    assert_eq!(bench.join_error(second), None);
    let first = bench.sync_as("nobody", |_| ());
    assert_eq!(bench.sync_error(first), Some(ResponseError::UnknownMemberId));
}

#[test]
fn late_members_are_dropped_and_a_new_leader_chosen() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default(), Join::default()]);
    bench.rejoin(&ids[2], &with_metadata("changed"));
    bench.rejoin(&ids[1], &Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    bench.end_join_phase();
    assert_eq!(bench.group.state, CompletingRebalance);
    assert_eq!(bench.member_ids(), ids[1..]);
    assert_eq!(bench.group.leader.as_deref(), Some(ids[1].as_str()));
    assert!(bench.actions.contains(&Action::CancelTimer(GroupTimer::Session(ids[0].as_str().into()))));
}

#[test]
fn absent_static_members_are_kept_and_waited_for() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), Join::default()]);
    bench.rejoin(&ids[1], &with_metadata("changed"));
    bench.end_join_phase();
    // It has not joined again, but is in the new generation; somebody who is there leads.
    assert_eq!(bench.member_ids(), ids);
    assert_eq!(bench.group.leader.as_deref(), Some(ids[1].as_str()));
    bench.end_session(&ids[1]);
    assert_eq!(bench.group.state, PreparingRebalance);
    bench.end_join_phase();
    assert_eq!(bench.group.state, PreparingRebalance, "nobody has joined");
    assert_eq!(bench.join_timer_ms(), Some(60_000));
    bench.end_session(&ids[0]);
    assert_eq!(bench.group.state, Empty);
    assert_eq!(bench.store().unwrap().1, AfterStore::Empty);
}

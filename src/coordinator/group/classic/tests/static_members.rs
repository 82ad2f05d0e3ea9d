use super::*;

#[test]
fn a_returned_static_member_goes_on_without_a_rebalance() {
    for (can_skip, leads) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut bench = Bench::new();
        let ids = bench.stable(&[static_member("one"), static_member("two")]);
        let (instance, old) = if leads { ("one", &ids[0]) } else { ("two", &ids[1]) };
        let token = bench.join(&Join { can_skip, session_ms: 20_000, ..static_member(instance) });
        assert_eq!(bench.group.state, Stable);
        assert!(bench.join_reply(token).is_none(), "answered when stored");
        let (stored, then) = bench.store().unwrap();
        let new = bench.group.static_members[instance].to_string();
        assert!(new.starts_with(instance) && new != *old);
        let position = usize::from(!leads);
        assert_eq!(*stored.members[position].member_id, new);
        assert_eq!(&stored.members[position].assignment[..], b"share");
        bench.stored(then, None);
        let reply = bench.join_reply(token).unwrap();
        assert_eq!((reply.error, reply.generation, &*reply.member_id), (None, 1, new.as_str()));
        assert_eq!(reply.skip_assignment, can_skip && leads);
        assert_eq!(reply.members.len(), if can_skip && leads { 2 } else { 0 });
        // An old client that leads is told of its old self, so that it does not assign anew.
        let leader = if leads && can_skip { &new } else { &ids[0] };
        assert_eq!(&*reply.leader, leader);
        assert_eq!(bench.heartbeat(&new, 1), Ok(()));
        assert_eq!(bench.session_ms(&new), Some(20_000));
        let old_one = bench.call(|group, calls| group.heartbeat(old, Some(instance), 1, calls));
        assert_eq!(old_one, Err(ResponseError::FencedInstanceId));
        let token = bench.rejoin(old, &static_member(instance));
        assert_eq!(bench.join_error(token), Some(ResponseError::FencedInstanceId));
    }
}

#[test]
fn a_returned_static_member_that_was_not_stored_is_its_old_self_again() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), Join::default()]);
    let before = bench.group.clone();
    let again = Join { protocols: vec![("range", "changed")], session_ms: 5, ..static_member("one") };
    let token = bench.join(&again);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, Some(ResponseError::NotCoordinator));
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::NotCoordinator), ""));
    assert_eq!(bench.group, before);
    assert_eq!(bench.session_ms(&ids[0]), Some(10_000));
}

#[test]
fn a_returned_static_member_may_force_a_rebalance() {
    // It no longer supports the protocol that was chosen.
    let mut bench = Bench::new();
    let both = Join { protocols: vec![("a", ""), ("b", "")], ..Join::default() };
    bench.stable(&[Join { instance: Some("one"), ..both.clone() }, both.clone()]);
    assert_eq!(bench.group.protocol_name.as_deref(), Some("a"));
    bench.join(&Join { instance: Some("one"), protocols: vec![("b", "")], ..Join::default() });
    assert_eq!(bench.group.state, PreparingRebalance);

    // The leader may be assigning to the old id at this moment. Old requests that wait are fenced.
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), static_member("one")]);
    let waiting = bench.sync_as(&ids[1], |_| ());
    bench.join(&static_member("one"));
    assert_eq!(bench.sync_error(waiting), Some(ResponseError::FencedInstanceId));
    assert_eq!(bench.group.state, PreparingRebalance);

    // During a rebalance it just takes the place.
    let mut bench = Bench::new();
    let first = bench.join(&static_member("one"));
    let second = bench.join(&static_member("one"));
    assert_eq!(bench.join_error(first), Some(ResponseError::FencedInstanceId));
    bench.end_join_phase();
    assert_eq!((bench.join_error(second), bench.group.members.len()), (None, 1));
}

#[test]
fn a_rebalance_that_overtakes_a_static_members_record_answers_it() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), static_member("one")]);
    let token = bench.join(&static_member("one"));
    let (_, then) = bench.store().unwrap();
    bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.join_reply(token).unwrap().generation, 2, "all have joined");
    bench.stored(then, None);
    assert!(bench.join_reply(token).is_none());
}

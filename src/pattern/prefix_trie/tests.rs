use std::collections::BTreeMap;

use super::*;

/// Checks what the module's head promises, for every node.
fn check<V>(trie: &PrefixTrie<V>) {
    let used = trie.nodes.len() - trie.vacant.len();
    assert!(used <= 2 * trie.len + 1, "{used} nodes for {}", trie.len);
    let mut reached = 0;
    let mut open = vec![ROOT];
    while let Some(id) = open.pop() {
        reached += 1;
        let node = trie.node(id);
        let before = open.len();
        for byte in 0..=u8::MAX {
            let Some(child) = node.children.get(byte) else {
                continue;
            };
            assert_eq!(trie.node(child).label.bytes().first(), Some(&byte));
            assert_eq!(trie.node(child).parent, id);
            open.push(child);
        }
        let children = open.len() - before;
        assert_eq!(node.children.is_empty(), children == 0);
        assert_eq!(node.children.only().is_some(), children == 1);
        assert!(id == ROOT || node.value.is_some() || children >= 2);
    }
    assert_eq!(reached, used);
}

fn topic_at<V>(trie: &PrefixTrie<V>, id: NodeId) -> Vec<u8> {
    let mut topic = b"left over".to_vec();
    trie.read_topic(id, &mut topic);
    topic
}

#[test]
fn prefixes_come_shortest_first() {
    let mut trie = PrefixTrie::new();
    for topic in ["abc", "", "abcdef", "ab", "abx", "b"] {
        trie.insert(topic.as_bytes(), topic);
    }
    check(&trie);
    let found: Vec<_> = trie.prefixes(b"abcdez").copied().collect();
    assert_eq!(found, ["", "ab", "abc"]);
    let found: Vec<_> = trie.prefixes(b"").copied().collect();
    assert_eq!(found, [""]);
    assert_eq!(trie.find(b"a"), None);
    assert_eq!(trie.find(b"abcd"), None);
}

#[test]
fn ids_stay_while_others_come_and_go() {
    let mut trie = PrefixTrie::new();
    let kept = trie.insert(b"one/two/three", 1);
    for other in ["one/two/four", "one/", "one/two/three/four", "", "on"] {
        let id = trie.insert(other.as_bytes(), 2);
        check(&trie);
        assert_eq!(trie.find(b"one/two/three"), Some(kept));
        assert_eq!(topic_at(&trie, kept), b"one/two/three");
        assert_eq!(topic_at(&trie, id), other.as_bytes());
    }
    let others: Vec<_> = trie.ids().filter(|&id| id != kept).collect();
    for id in others {
        assert_eq!(trie.remove(id), Some(2));
        assert_eq!(trie.remove(id), None);
        check(&trie);
        assert_eq!(topic_at(&trie, kept), b"one/two/three");
    }
    assert_eq!(trie.ids().collect::<Vec<_>>(), [kept]);
}

#[test]
fn every_number_of_children_works() {
    let mut trie = PrefixTrie::new();
    let topic = |byte: u8| [b'x', byte.wrapping_mul(167), byte];
    for byte in 0..=u8::MAX {
        trie.insert(&topic(byte), byte);
        check(&trie);
        for earlier in 0..=byte {
            let found: Vec<_> = trie.prefixes(&topic(earlier)).copied().collect();
            assert_eq!(found, [earlier]);
        }
        assert_eq!(
            trie.prefixes(&topic(byte.wrapping_add(1))).count(),
            usize::from(byte == 255)
        );
    }
    for byte in (0..=u8::MAX).map(|byte| byte.wrapping_mul(91)) {
        let id = trie.find(&topic(byte)).expect("stored above");
        assert_eq!(trie.remove(id), Some(byte));
        check(&trie);
        assert_eq!(trie.find(&topic(byte)), None);
    }
    assert_eq!(trie.len(), 0);
    assert_eq!(trie.nodes.len() - trie.vacant.len(), 1);
}

/// Adds and removes children in a fixed random order, of all bytes and of one, two and three rows of them, so
/// that each form grows into each other that it can become, and shrinks again.
#[test]
fn children_agree_with_a_naive_model() {
    let mut random = 88_172_645_463_325_252_u64;
    for bytes in [b'0'..=b'9', 0x2e..=0x31, 0x30..=0x5f, 0..=255] {
        let bytes: Vec<u8> = bytes.collect();
        let mut children = Children::new();
        let mut model = BTreeMap::new();
        for step in 0..4000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let byte = bytes[(random >> 11) as usize % bytes.len()];
            let growing = step / 500 % 2 == 0;
            if (random >> 40) % 8 < if growing { 6 } else { 1 } {
                let id = NodeId(step + 1);
                children.set(byte, id);
                model.insert(byte, id);
            } else {
                children.remove(byte);
                model.remove(&byte);
            }
            for byte in 0..=u8::MAX {
                assert_eq!(children.get(byte), model.get(&byte).copied());
            }
            let only = model.values().next().filter(|_| model.len() == 1);
            assert_eq!(children.only(), only.copied());
            assert_eq!(children.is_empty(), model.is_empty());
        }
    }
}

/// A row is full, then one byte too many comes: a table, for a list has no place either.
#[test]
fn a_full_row_grows_and_shrinks_in_any_order() {
    for stranger in [0x2f, 0x40, 0, 255] {
        let mut trie = PrefixTrie::new();
        let bytes = || (0x30..=0x3f).chain([stranger]);
        for byte in bytes() {
            trie.insert(&[byte], byte);
            check(&trie);
        }
        for byte in bytes() {
            let id = trie.find(&[byte]).expect("stored above");
            assert_eq!(trie.prefixes(&[byte, byte]).copied().sum::<u8>(), byte);
            assert_eq!(trie.remove(id), Some(byte));
            check(&trie);
        }
        assert_eq!(trie.len(), 0);
    }
}

#[test]
fn long_topics_are_split_and_joined() {
    let long: Vec<u8> = (0..5000).map(|n| (n / 7) as u8).collect();
    let mut trie = PrefixTrie::new();
    let lens = [5000, 1, 2500, 22, 23, 24, 4999, 0];
    for len in lens {
        trie.insert(&long[..len], len);
        check(&trie);
    }
    assert_eq!(trie.prefixes(&long).count(), lens.len());
    for len in lens {
        let id = trie.find(&long[..len]).expect("stored above");
        assert_eq!(topic_at(&trie, id), &long[..len]);
        assert_eq!(trie.remove(id), Some(len));
        check(&trie);
    }
}

#[test]
fn churn_leaves_no_nodes_behind() {
    let mut trie = PrefixTrie::new();
    let topic = [b'a'; 500];
    trie.insert(&topic, ());
    for _ in 0..3 {
        let ids: Vec<_> = (1..500).map(|len| trie.insert(&topic[..len], ())).collect();
        for id in ids {
            trie.remove(id);
        }
        check(&trie);
    }
    assert_eq!(trie.len(), 1);
    assert_eq!(trie.nodes.len() - trie.vacant.len(), 2);
}

#[test]
fn an_emptied_trie_gives_its_memory_back() {
    let mut trie = PrefixTrie::new();
    let ids: Vec<_> = (0..5000u16)
        .map(|n| trie.insert(&n.to_be_bytes(), n))
        .collect();
    for id in ids {
        trie.remove(id);
    }
    check(&trie);
    assert!(trie.nodes.capacity() <= KEPT_NODES);
    trie.insert(b"again", 0);
    assert_eq!(trie.prefixes(b"again and again").count(), 1);
}

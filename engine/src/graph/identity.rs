//! Finding out whether each operator's state can be told from that of the others, and whether that
//! of an earlier run finds its owner again.

use std::collections::BTreeMap;

use super::blueprint::{Graph, OperatorId};
use super::validate::Name;
use crate::error::BuildError;
use crate::state::Snapshot;

pub(super) fn find_ambiguous(
    graph: &Graph,
    state: Option<&Snapshot>,
    name: &Name<'_>,
    mistakes: &mut Vec<BuildError>,
) {
    let mut owners: BTreeMap<&str, Vec<OperatorId>> = BTreeMap::new();
    for (index, node) in graph.operators.iter().enumerate() {
        if let Some(uid) = &node.uid {
            owners.entry(uid).or_default().push(OperatorId(index));
        }
    }
    for (uid, owners) in &owners {
        if let [first, second, ..] = owners.as_slice() {
            mistakes.push(BuildError::DuplicateUid {
                uid: (*uid).to_owned(),
                operators: [name(*first), name(*second)],
            });
        }
    }
    for (uid, written) in state.into_iter().flat_map(Snapshot::operators) {
        let owner = owners.get(uid).and_then(|owners| graph.operators.get(owners.first()?.0));
        let uid = uid.to_owned();
        match owner {
            None => mistakes.push(BuildError::OrphanedState { uid }),
            Some(owner) if owner.kind != written.kind => {
                let (was, is) = (written.kind.clone(), owner.kind.to_owned());
                mistakes.push(BuildError::ForeignState { uid, was, is });
            }
            Some(_) => {}
        }
    }
}

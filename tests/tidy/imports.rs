//! Who may import whom, read from cargo's own description of the workspace.

use cargo_metadata::{DependencyKind, Metadata};

/// An edge between two packages of the workspace, or from a core to a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    /// The package that imports.
    pub(crate) from: String,
    /// What it imports.
    pub(crate) to: String,
    /// Whether only its tests do.
    pub(crate) for_tests: bool,
}

/// What each package may import of this workspace. The tests may import everything.
const MAY_IMPORT: [(&str, &[&str]); 7] = [
    ("giot-shared", &[]),
    ("giot-firmware", &["giot-shared"]),
    ("giot-board-host", &["giot-firmware", "giot-shared"]),
    ("giot-engine", &["giot-shared"]),
    // The simulated board: for the demo and the replay of a history only.
    ("giot-store", &[]),
    ("giot-gateway", &["giot-board-host", "giot-engine", "giot-firmware", "giot-shared", "giot-store"]),
    (
        "giot-tests",
        &["giot-board-host", "giot-engine", "giot-firmware", "giot-gateway", "giot-shared", "giot-store"],
    ),
];

/// The libraries from outside that the engine may use: mathematics that computes the same bits everywhere.
const ENGINE_LIBRARIES: [&str; 1] = ["libm"];

/// Every edge that starts at a member of the workspace.
pub(crate) fn edges(metadata: &Metadata) -> Vec<Edge> {
    let mut edges: Vec<Edge> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| {
            package.dependencies.iter().map(|dependency| Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                for_tests: dependency.kind == DependencyKind::Development,
            })
        })
        .collect();
    edges.sort();
    edges
}

/// Every edge that goes against the directions.
pub(crate) fn directions(edges: &[Edge]) -> Vec<String> {
    let mut found = Vec::new();
    for Edge { from, to, for_tests } in edges {
        let allowed = MAY_IMPORT.iter().find(|(name, _)| name == from).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            found.push(format!("{from}: a package the directions do not know"));
            continue;
        };
        if to.starts_with("giot-") {
            if !allowed.contains(&to.as_str()) {
                found.push(format!("{from} imports {to}: against the directions"));
            }
        } else if from == "giot-engine" && !for_tests && !ENGINE_LIBRARIES.contains(&to.as_str()) {
            found.push(format!("{from} imports {to}: the engine stands on giot-shared alone"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned(), for_tests: false }
    }

    #[test]
    fn an_edge_against_the_directions_is_found() {
        let bad = [
            edge("giot-shared", "giot-engine"),
            edge("giot-firmware", "giot-gateway"),
            edge("giot-engine", "giot-firmware"),
            edge("giot-engine", "tokio"),
            edge("giot-surprise", "giot-shared"),
        ];
        assert_eq!(directions(&bad).len(), bad.len(), "{:?}", directions(&bad));
    }

    #[test]
    fn the_drawn_directions_are_fine() {
        let good = [
            edge("giot-firmware", "giot-shared"),
            edge("giot-gateway", "giot-board-host"),
            edge("giot-engine", "libm"),
            Edge { for_tests: true, ..edge("giot-engine", "proptest") },
            edge("giot-tests", "giot-gateway"),
            edge("giot-shared", "minicbor"),
        ];
        assert_eq!(directions(&good), Vec::<String>::new());
    }
}

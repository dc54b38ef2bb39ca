//! The tree of a machine's cgroups, as `systemd-cgls` draws it.

use nsrun_runtime::machine::Branch;

/// One line: what leads to it, and what it says.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The lines of the drawing.
    pub lead: String,
    /// A cgroup's name, or a process's number and command.
    pub text: String,
}

/// What is below `tree`: processes before cgroups.
pub fn draw(tree: &Branch) -> Vec<Line> {
    let mut lines = Vec::new();
    below(tree, "", &mut lines);
    lines
}

fn below(branch: &Branch, lead: &str, lines: &mut Vec<Line>) {
    let pids = branch.processes.iter().map(|process| process.pid);
    let width = pids.max().unwrap_or_default().to_string().len();
    let mut left = branch.processes.len() + branch.children.len();
    for process in &branch.processes {
        left -= 1;
        let (twig, _) = twig(left);
        lines.push(Line {
            lead: format!("{lead}{twig}"),
            text: format!("{:>width$} {}", process.pid, process.command),
        });
    }
    for child in &branch.children {
        left -= 1;
        let (twig, further) = twig(left);
        lines.push(Line {
            lead: format!("{lead}{twig}"),
            text: child.name.clone(),
        });
        below(child, &format!("{lead}{further}"), lines);
    }
}

/// What leads to something after which `left` others come, and to what is below it.
fn twig(left: usize) -> (&'static str, &'static str) {
    match left {
        0 => ("└─", "  "),
        _ => ("├─", "│ "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsrun_runtime::machine::Process;

    fn branch(name: &str, pids: &[i32], children: Vec<Branch>) -> Branch {
        let process = |&pid: &i32| Process {
            pid,
            name: "x".into(),
            command: format!("/bin/x {pid}"),
        };
        Branch {
            name: name.into(),
            processes: pids.iter().map(process).collect(),
            children,
        }
    }

    #[test]
    fn every_branch_is_drawn_to_its_end() {
        let slice = vec![
            branch("a.service", &[7], vec![]),
            branch("b.service", &[8, 10], vec![]),
        ];
        let payload = vec![
            branch("init.scope", &[5], vec![]),
            branch("system.slice", &[], slice),
        ];
        let children = vec![
            branch("payload", &[9], payload),
            branch("supervisor", &[4], vec![]),
        ];
        let lines = draw(&branch("nsrun-web.scope", &[], children));
        let drawn: Vec<String> = lines
            .iter()
            .map(|l| format!("{}{}", l.lead, l.text))
            .collect();
        let wanted = [
            "├─payload",
            "│ ├─9 /bin/x 9",
            "│ ├─init.scope",
            "│ │ └─5 /bin/x 5",
            "│ └─system.slice",
            "│   ├─a.service",
            "│   │ └─7 /bin/x 7",
            "│   └─b.service",
            "│     ├─ 8 /bin/x 8",
            "│     └─10 /bin/x 10",
            "└─supervisor",
            "  └─4 /bin/x 4",
        ];
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn an_empty_tree_has_no_lines() {
        assert!(draw(&branch("x", &[], vec![])).is_empty());
    }
}

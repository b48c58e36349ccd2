//! Who is next: jobs wait in lines, one per client, and the lines take turns.

use std::collections::VecDeque;

use super::JobId;

/// A job in line.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: JobId,
    /// It is not to run before (microseconds since 1970).
    not_before: i64,
}

/// The lines, in the order of their turns. A client without a waiting job has none.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: VecDeque<(String, VecDeque<Waiting>)>,
}

impl Queue {
    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(|(_, line)| line.len()).sum()
    }

    /// To the end of the client's line.
    pub(super) fn push(&mut self, client: &str, id: JobId) {
        self.line(client).push_back(Waiting { id, not_before: i64::MIN });
    }

    /// To the head of the client's line: the job has waited already.
    pub(super) fn push_again(&mut self, client: &str, id: JobId, not_before: i64) {
        self.line(client).push_front(Waiting { id, not_before });
    }

    fn line(&mut self, client: &str) -> &mut VecDeque<Waiting> {
        let at = self.lines.iter().position(|(known, _)| known == client).unwrap_or_else(|| {
            self.lines.push_back((client.to_owned(), VecDeque::new()));
            self.lines.len() - 1
        });
        &mut self.lines[at].1
    }

    /// Takes a job out.
    pub(super) fn remove(&mut self, id: JobId) {
        for (_, line) in &mut self.lines {
            line.retain(|waiting| waiting.id != id);
        }
        self.lines.retain(|(_, line)| !line.is_empty());
    }

    /// Takes the next job that may run: of the clients that run least, the one whose turn is due.
    pub(super) fn take(&mut self, now: i64, running: impl Fn(&str) -> usize) -> Option<JobId> {
        let due = |line: &VecDeque<Waiting>| line.iter().position(|waiting| waiting.not_before <= now);
        let (at, place, _) = self
            .lines
            .iter()
            .enumerate()
            .filter_map(|(at, (client, line))| Some((at, due(line)?, running(client))))
            .min_by_key(|(at, _, running)| (*running, *at))?;
        let (client, mut line) = self.lines.remove(at)?;
        let taken = line.remove(place);
        if !line.is_empty() {
            self.lines.push_back((client, line));
        }
        taken.map(|waiting| waiting.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<JobId> {
        (0..count).map(|_| JobId::random().unwrap()).collect()
    }

    fn order(queue: &mut Queue, ids: &[JobId], running: impl Fn(&str) -> usize) -> Vec<usize> {
        std::iter::from_fn(|| queue.take(0, &running))
            .map(|id| ids.iter().position(|known| *known == id).unwrap())
            .collect()
    }

    #[test]
    fn clients_take_turns() {
        let ids = ids(6);
        let mut queue = Queue::default();
        for (client, id) in ["a", "a", "a", "b", "b", "c"].iter().zip(&ids) {
            queue.push(client, *id);
        }
        assert_eq!(queue.len(), 6);
        assert_eq!(order(&mut queue, &ids, |_| 0), [0, 3, 5, 1, 4, 2]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_runs_least_is_first() {
        let ids = ids(3);
        let mut queue = Queue::default();
        for (client, id) in ["a", "b", "c"].iter().zip(&ids) {
            queue.push(client, *id);
        }
        let running = |client: &str| match client {
            "a" => 2,
            "b" => 1,
            _ => 0,
        };
        assert_eq!(order(&mut queue, &ids, running), [2, 1, 0]);
    }

    #[test]
    fn a_job_that_waits_to_be_tried_again_holds_up_nobody() {
        let ids = ids(3);
        let mut queue = Queue::default();
        queue.push("a", ids[1]);
        queue.push_again("a", ids[0], 10);
        queue.push("b", ids[2]);
        assert_eq!(order(&mut queue, &ids, |_| 0), [1, 2]);
        assert_eq!(queue.take(9, |_| 0), None);
        assert_eq!(queue.take(10, |_| 0), Some(ids[0]));
    }

    #[test]
    fn a_removed_job_is_not_taken() {
        let ids = ids(2);
        let mut queue = Queue::default();
        queue.push("a", ids[0]);
        queue.push("b", ids[1]);
        queue.remove(ids[0]);
        assert_eq!(order(&mut queue, &ids, |_| 0), [1]);
    }
}

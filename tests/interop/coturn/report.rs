//! What coturn's load generator counted.

/// The numbers of messages in the output of `turnutils_uclient`.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub(super) sent: u32,
    pub(super) received: u32,
    pub(super) lost: u32,
    pub(super) dropped: u32,
}

impl Report {
    /// The last figures count: the first ones are of a run that goes on. Nothing if it came to no
    /// end.
    pub(super) fn read(text: &str) -> Option<Self> {
        let figure = |name: &str| {
            let (_, after) = text.rsplit_once(name)?;
            let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
            after[..digits].parse().ok()
        };
        Some(Self {
            sent: figure("tot_send_msgs=")?,
            received: figure("tot_recv_msgs=")?,
            lost: figure("Total lost packets ")?,
            dropped: figure("total send dropped ")?,
        })
    }

    /// Whether at least `messages` messages were sent and all came back.
    pub(super) fn all_came_back(&self, messages: u32) -> bool {
        self.sent >= messages && self.received == self.sent && self.lost == 0 && self.dropped == 0
    }
}

#[test]
fn the_figures_are_read_from_the_end() {
    let text = "3: : start_mclient: msz=4, tot_send_msgs=33, tot_recv_msgs=31, \
        tot_send_bytes ~ 3300\n\
        6: : start_mclient: tot_send_msgs=200, tot_recv_msgs=199\n\
        6: : Total lost packets 1 (0.500000%), total send dropped 2 (1.000000%)\n";
    let report = Report::read(text).expect("all are there");
    assert_eq!(report, Report { sent: 200, received: 199, lost: 1, dropped: 2 });
    assert!(!report.all_came_back(200));
    assert_eq!(Report::read("0: : error 401 (Unauthorized)"), None);
}

//! A machine on the host's own link.
use std::sync::Arc;

use anyhow::ensure;
use boot_tests::lands::{Lands, OUTSIDE};

use super::{boot, end};
use crate::lab::Lab;

/// The guest has an address among those of the link, where it sees others and others see it.
pub fn bridged(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    lands.serve_outside(vec![("/small", Arc::new(b"a small page\n".to_vec()))])?;
    let mut guest = boot(lab, lands, "page", &["--net", "bridged:h0"])?;
    guest.ask("pkill dhclient; ip link set eth0 up; ip address add 10.77.0.50/24 dev eth0")?;
    guest.says(&format!("ping -q -c 2 -i 0.2 {OUTSIDE} | grep -o '2 received'"), "2 received")?;
    guest.says(&format!("curl -s -m 20 http://{OUTSIDE}/small"), "a small page")?;
    guest.ask("systemctl start apache2")?;
    let page = lands.page_from_outside("10.77.0.50:80", "/")?;
    ensure!(page.contains("Apache2"), "from outside, the page is: {page}");
    end(guest)
}

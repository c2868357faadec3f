//! Networks of an ordinary user, who may not make interfaces on the host.
use std::process::Stdio;

use anyhow::ensure;
use boot_tests::lands::{Lands, OUTSIDE};

use super::{address, boot, end, gasang, told};
use crate::lab::Lab;

/// A host-only network that the host's programs are led into by `gasang net exec`.
pub fn unprivileged(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let mut guest = boot(lab, lands, "page", &["--net", "hostonly:room"])?;
    ensure!(address(&mut guest, "eth0")? == "192.168.56.101/24");
    guest.ask("systemctl start apache2")?;
    ensure!(lands.connect_from_host("192.168.56.101:80".parse()?).is_err(), "the host itself reaches it");
    let get = "exec 3<>/dev/tcp/192.168.56.101/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    let page = told(lab, lands, &["net", "exec", "room", "--", "bash", "-c", get], 0)?;
    ensure!(page.contains("Apache2"), "inside, the page is: {page}");
    let code = gasang(lab, lands, &["net", "exec", "room", "--", "sh", "-c", "exit 7"]).status()?.code();
    ensure!(code == Some(7), "its exit code was not passed on: {code:?}");
    // And the other way: the guest reaches a command there, and nobody outside.
    let listen = "use IO::Socket::INET; \
                  my $s = IO::Socket::INET->new(LocalAddr => '192.168.56.1:7000', Listen => 1) or die; \
                  print $s->accept->peerhost";
    let listener = gasang(lab, lands, &["net", "exec", "room", "--", "perl", "-e", listen])
        .stdout(Stdio::piped())
        .spawn()?;
    guest.comes_to_say("nc -z -w 1 192.168.56.1 7000 && echo open", "open")?;
    let said = String::from_utf8(listener.wait_with_output()?.stdout)?;
    ensure!(said == "192.168.56.101", "a connection came from {said:?}");
    guest.says(&format!("curl -s -m 3 http://{OUTSIDE}/; test $? -ne 0 && echo dark"), "dark")?;
    end(guest)
}

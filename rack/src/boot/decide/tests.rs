use super::*;
use rackwright_common::Secret;
use rackwright_common::snapshot::{BlobRef, HostInterface};

pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 0xab, 0xcd, 1]);

pub(crate) fn ephemeral_boot() -> EphemeralBoot {
    EphemeralBoot {
        kernel: BlobRef { sha256: "a".repeat(64), size: 10 },
        initrd: BlobRef { sha256: "b".repeat(64), size: 20 },
        arguments: "console=ttyS0".to_owned(),
        token: Secret::new("t0ken".to_owned()),
        fence: None,
    }
}

pub(crate) fn snapshot(boot: BootDecision) -> Snapshot {
    let host = HostView {
        machine: "abc234".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: Some(Uuid::from_u128(7)),
        interfaces: vec![HostInterface { mac: MAC, address: None }],
        boot,
        secure_boot: Some(false),
    };
    let racks = vec!["10.0.0.2:5248".to_owned(), "10.0.0.1:5248".to_owned()];
    Snapshot { generation: 1, hosts: vec![host], racks, ..Snapshot::default() }
}

fn asker() -> Asker {
    Asker { mac: Some(MAC), uuid: None, rack: "10.0.0.1:5248".to_owned() }
}

#[test]
fn the_ephemeral_environment_is_tried_on_every_rack() {
    let script = ipxe_script(&snapshot(BootDecision::Ephemeral(ephemeral_boot())), &asker());
    let (k, i) = ("a".repeat(64), "b".repeat(64));
    assert_eq!(
        script.text,
        format!(
            "#!ipxe
echo Rackwright: node-1 (abc234)
set arguments initrd=initrd BOOTIF=01-52-54-00-ab-cd-01 rackwright.racks=10.0.0.1:5248,10.0.0.2:5248 rackwright.token=t0ken rackwright.machine=abc234 console=ttyS0
:try0
imgfree ||
kernel --timeout 8000 http://10.0.0.1:5248/blob/{k} ${{arguments}} || goto try1
initrd --timeout 8000 --name initrd http://10.0.0.1:5248/blob/{i} || goto try1
boot || goto try1
:try1
imgfree ||
kernel --timeout 8000 http://10.0.0.2:5248/blob/{k} ${{arguments}} || goto try2
initrd --timeout 8000 --name initrd http://10.0.0.2:5248/blob/{i} || goto try2
boot || goto try2
:try2
imgfree ||
kernel http://10.0.0.1:5248/blob/{k} ${{arguments}} || goto try3
initrd --name initrd http://10.0.0.1:5248/blob/{i} || goto try3
boot || goto try3
:try3
imgfree ||
kernel http://10.0.0.2:5248/blob/{k} ${{arguments}} || goto failed
initrd --name initrd http://10.0.0.2:5248/blob/{i} || goto failed
boot || goto failed
:failed
echo No rack gave kernel and initial RAM disk; restarting in 10 seconds.
sleep 10
reboot ||
:again
sleep 10
chain --replace --autofree http://10.0.0.1:5248/boot/ipxe?mac=52:54:00:ab:cd:01&uuid=${{uuid}} ||
chain --replace --autofree http://10.0.0.2:5248/boot/ipxe?mac=52:54:00:ab:cd:01&uuid=${{uuid}} ||
goto again
"
        )
    );
    assert_eq!((script.stage, script.detail.as_str()), (BootStage::Script, "ephemeral environment"));
}

#[test]
fn the_local_disk_is_an_error_to_uefi_and_an_exit_to_bios() {
    let script = ipxe_script(&snapshot(BootDecision::Local), &asker());
    assert_eq!(
        script.text,
        "#!ipxe\necho Rackwright: node-1 (abc234)\necho Booting from the local disk.\niseq ${platform} efi && exit 1 || exit\n"
    );
}

#[test]
fn who_has_to_wait_asks_again() {
    let reason = "the image is on its way\nreboot".to_owned();
    let script = ipxe_script(&snapshot(BootDecision::Hold { reason }), &asker());
    assert_eq!(
        script.text,
        "#!ipxe
echo Rackwright: node-1 (abc234)
echo Waiting: the image is on its way reboot
:again
sleep 5
chain --replace --autofree http://10.0.0.1:5248/boot/ipxe?mac=52:54:00:ab:cd:01&uuid=${uuid} ||
chain --replace --autofree http://10.0.0.2:5248/boot/ipxe?mac=52:54:00:ab:cd:01&uuid=${uuid} ||
goto again
"
    );
}

#[test]
fn a_boot_loader_that_cannot_power_off_asks_again() {
    let script = ipxe_script(&snapshot(BootDecision::PowerOff), &asker());
    assert!(script.text.contains("\npoweroff ||\n"), "{}", script.text);
    assert!(script.text.ends_with("goto again\n"));
}

#[test]
fn the_uuid_decides_before_the_mac() {
    let snapshot = snapshot(BootDecision::Local);
    let other = Some(Mac([2, 0, 0, 0, 0, 9]));
    let by_uuid = Asker { mac: other, uuid: Some(Uuid::from_u128(7)), rack: "r:1".to_owned() };
    assert!(ipxe_script(&snapshot, &by_uuid).text.contains("node-1"));
}

#[test]
fn a_stranger_is_enlisted_or_sent_to_its_disk() {
    let nothing_known = ipxe_script(&Snapshot::default(), &asker());
    assert_eq!(nothing_known.detail, "wait: this rack has not heard from a region yet");
    let mut world = Snapshot { generation: 1, ..Snapshot::default() };
    let refused = ipxe_script(&world, &asker());
    assert_eq!(refused.stage, BootStage::Refused);
    assert!(refused.text.ends_with("sleep 3\niseq ${platform} efi && exit 1 || exit\n"));
    world.enlist = Some(ephemeral_boot());
    let enlisted = ipxe_script(&world, &asker());
    assert_eq!(enlisted.detail, "ephemeral environment, to enlist");
    assert!(!enlisted.text.contains("rackwright.machine"));
    assert!(enlisted.text.contains(":try0\n") && enlisted.text.contains("rackwright.racks=10.0.0.1:5248 "));
}

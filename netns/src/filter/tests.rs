use super::*;

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// How a frame came, beside its octets.
#[derive(Clone, Copy)]
struct Manner {
    kind: u32,
    tagged: bool,
}

const PLAIN: Manner = Manner {
    kind: 0,
    tagged: false,
};

/// What the kernel's machine returns; a load beyond the frame ends the program with 0.
fn run(filter: &Filter, frame: &[u8], manner: Manner) -> u32 {
    let steps = filter.steps();
    let (mut accumulator, mut index, mut at) = (0, 0, 0);
    loop {
        let Step {
            code,
            if_true,
            if_false,
            operand,
        } = steps[at];
        at += 1;
        let behind = operand.wrapping_add(index);
        let loaded = match code {
            Code::LoadWord if operand == PACKET_KIND => Some(manner.kind),
            Code::LoadWord if operand == VLAN_TAG_PRESENT => Some(manner.tagged.into()),
            Code::LoadWord => number(frame, operand, 4),
            Code::LoadHalf => number(frame, operand, 2),
            Code::LoadByte => number(frame, operand, 1),
            Code::LoadWordBehind => number(frame, behind, 4),
            Code::LoadHalfBehind => number(frame, behind, 2),
            Code::And => Some(accumulator & operand),
            Code::LoadHeaderLength => {
                let Some(octet) = number(frame, operand, 1) else {
                    return 0;
                };
                index = (octet & 0x0f) * 4;
                Some(accumulator)
            }
            Code::JumpIfEqual => {
                let away = if accumulator == operand {
                    if_true
                } else {
                    if_false
                };
                at += usize::from(away);
                Some(accumulator)
            }
            Code::Return => return operand,
        };
        match loaded {
            Some(value) => accumulator = value,
            None => return 0,
        }
    }
}

fn number(frame: &[u8], at: u32, length: usize) -> Option<u32> {
    let at = usize::try_from(at).unwrap();
    let octets = frame.get(at..at + length)?;
    Some(
        octets
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u32::from(octet)),
    )
}

fn discovery() -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 8 + 240];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&CLIENT);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[20] = 0x40;
    frame[23] = 17;
    frame[36..38].copy_from_slice(&67_u16.to_be_bytes());
    frame[42..45].copy_from_slice(&[1, 1, 6]);
    frame[278..282].copy_from_slice(&[99, 130, 83, 99]);
    frame
}

fn ipv6(next_header: u8) -> Vec<u8> {
    let mut frame = vec![0; 14 + 40 + 12];
    frame[6..12].copy_from_slice(&CLIENT);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    frame[20] = next_header;
    frame
}

fn solicitation() -> Vec<u8> {
    let mut frame = ipv6(58);
    frame[54] = 133;
    frame
}

fn information_request() -> Vec<u8> {
    let mut frame = ipv6(17);
    frame[56..58].copy_from_slice(&547_u16.to_be_bytes());
    frame[62] = 11;
    frame
}

#[test]
fn what_is_for_us_is_taken() {
    let dhcp = Filter::dhcp(CLIENT.into());
    let router = Filter::router(CLIENT.into());
    assert_eq!(run(&dhcp, &discovery(), PLAIN), TAKE);
    assert_eq!(run(&router, &solicitation(), PLAIN), TAKE);
    assert_eq!(run(&router, &information_request(), PLAIN), TAKE);
    assert_eq!(usize::try_from(TAKE), Ok(crate::udp::FRAME_MAX + 1));
}

#[test]
fn a_longer_header_is_followed() {
    let mut frame = discovery();
    frame[14] = 0x46;
    for octet in [1, 1, 1, 1] {
        frame.insert(34, octet);
    }
    assert_eq!(run(&Filter::dhcp(CLIENT.into()), &frame, PLAIN), TAKE);
}

#[test]
fn tagged_and_outgoing_frames_are_refused() {
    let tagged = Manner {
        tagged: true,
        ..PLAIN
    };
    let outgoing = Manner {
        kind: OUTGOING,
        ..PLAIN
    };
    for manner in [tagged, outgoing] {
        let dhcp = run(&Filter::dhcp(CLIENT.into()), &discovery(), manner);
        let router = run(&Filter::router(CLIENT.into()), &solicitation(), manner);
        assert_eq!([dhcp, router], [REFUSE; 2]);
    }
}

#[test]
fn every_condition_counts() {
    let dhcp = Filter::dhcp(CLIENT.into());
    for at in [6, 11, 12, 13, 21, 23, 36, 37, 42, 43, 44, 278, 281] {
        let mut frame = discovery();
        frame[at] ^= 1;
        assert_eq!(run(&dhcp, &frame, PLAIN), REFUSE, "octet {at}");
    }
    let router = Filter::router(CLIENT.into());
    for (frame, octets) in [
        (solicitation(), &[6, 11, 12, 13, 20, 54][..]),
        (information_request(), &[6, 11, 12, 13, 20, 56, 57, 62]),
    ] {
        for &at in octets {
            let mut frame = frame.clone();
            frame[at] ^= 1;
            assert_eq!(run(&router, &frame, PLAIN), REFUSE, "octet {at}");
        }
    }
}

#[test]
fn no_part_of_a_frame_is_taken() {
    let dhcp = Filter::dhcp(CLIENT.into());
    let frame = discovery();
    for length in 0..frame.len() {
        assert_eq!(run(&dhcp, &frame[..length], PLAIN), REFUSE, "{length}");
    }
}

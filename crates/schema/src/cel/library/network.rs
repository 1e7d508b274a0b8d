//! Addresses and ranges of addresses, in their plain form only: without zeros in front, without zones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Answer;
use crate::cel::value::Value;

pub(super) fn call<'a>(name: &str, with_receiver: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    Some(match (name, arguments) {
        ("ip", [Value::Text(text)]) => address(text).map(Value::Ip),
        ("isIP", [Value::Text(text)]) => Ok(Value::Bool(address(text).is_ok())),
        ("ip.isCanonical", [Value::Text(text)]) => {
            address(text).map(|address| Value::Bool(address.to_string() == text.as_ref()))
        }
        ("cidr", [Value::Text(text)]) => range(text).map(|(address, bits)| Value::Cidr(address, bits)),
        ("isCIDR", [Value::Text(text)]) => Ok(Value::Bool(range(text).is_ok())),
        ("ip", [Value::Cidr(address, _)]) if with_receiver => Ok(Value::Ip(*address)),
        ("prefixLength", [Value::Cidr(_, bits)]) => Ok(Value::Int((*bits).into())),
        ("masked", [Value::Cidr(address, bits)]) => Ok(Value::Cidr(masked(*address, *bits), *bits)),
        ("containsIP", [Value::Cidr(network, bits), Value::Ip(ip)]) => {
            Ok(contains((*network, *bits), (*ip, width(*ip))))
        }
        ("containsIP", [Value::Cidr(network, bits), Value::Text(text)]) => {
            address(text).map(|ip| contains((*network, *bits), (ip, width(ip))))
        }
        ("containsCIDR", [Value::Cidr(network, bits), Value::Cidr(inner, inner_bits)]) => {
            Ok(contains((*network, *bits), (*inner, *inner_bits)))
        }
        ("containsCIDR", [Value::Cidr(network, bits), Value::Text(text)]) => {
            range(text).map(|inner| contains((*network, *bits), inner))
        }
        (name, [Value::Ip(address)]) => Ok(property(name, *address)?),
        _ => return None,
    })
}

fn property<'a>(name: &str, address: IpAddr) -> Option<Value<'a>> {
    let (local_unicast, local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), address.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            (first & 0xffc0 == 0xfe80, first & 0xff0f == 0xff02)
        }
    };
    Some(Value::Bool(match name {
        "family" => return Some(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        "isUnspecified" => address.is_unspecified(),
        "isLoopback" => address.is_loopback(),
        "isLinkLocalMulticast" => local_multicast,
        "isLinkLocalUnicast" => local_unicast,
        "isGlobalUnicast" => {
            let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
            !(broadcast || address.is_unspecified() || address.is_loopback() || address.is_multicast() || local_unicast)
        }
        _ => return None,
    }))
}

fn address(text: &str) -> Result<IpAddr, String> {
    let parsed: IpAddr =
        text.parse().map_err(|_| format!("IP Address {text:?} parse error during conversion from string"))?;
    match parsed {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        address => Ok(address),
    }
}

fn range(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("network address parse error during conversion from string: {text:?}");
    let (network, bits) = text.split_once('/').ok_or_else(wrong)?;
    let network = address(network)?;
    let plain =
        !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u8 = if plain { bits.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    if bits > width(network) { Err(wrong()) } else { Ok((network, bits)) }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or_default();
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or_default();
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

fn contains<'a>((network, bits): (IpAddr, u8), (inner, inner_bits): (IpAddr, u8)) -> Value<'a> {
    let same_family = network.is_ipv4() == inner.is_ipv4();
    Value::Bool(same_family && inner_bits >= bits && masked(network, bits) == masked(inner, bits))
}

//! The address under which routers reach this backend, where the operator gave none.

use anyhow::{Context, bail};
use redis::ConnectionAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tidegate_store::Address;
use tokio::net::{UdpSocket, lookup_host};

/// The listening address itself; where that is every address (0.0.0.0), the one that faces Redis, as routers talk to the
/// same Redis. Never 0.0.0.0.
pub(super) async fn facing(redis: &Address, listening: SocketAddr) -> anyhow::Result<SocketAddr> {
    if !listening.ip().is_unspecified() {
        warn_if_unreachable(redis, listening);
        return Ok(listening);
    }
    let Some((host, port)) = host_and_port(redis) else {
        bail!("Redis is reached through a socket file, which has no address: give --advertise-url");
    };
    let redis = lookup_host((host, port))
        .await
        .and_then(|mut found| found.next().ok_or_else(|| std::io::ErrorKind::NotFound.into()))
        .with_context(|| {
            format!("cannot find the address that faces Redis ({host}): give --advertise-url")
        })?;
    let ip = source_address(redis).await.context("no address faces Redis: give --advertise-url")?;
    Ok(SocketAddr::new(ip, listening.port()))
}

fn host_and_port(redis: &Address) -> Option<(&str, u16)> {
    match redis.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some((host, *port)),
        _ => None,
    }
}

/// The address from which this machine would send to `target`. Nothing is sent.
async fn source_address(target: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    Ok(socket.local_addr()?.ip())
}

/// A backend on the loopback address next to a Redis elsewhere is a mistake more often than not.
fn warn_if_unreachable(redis: &Address, listening: SocketAddr) {
    let Some((host, _)) = host_and_port(redis) else { return };
    let redis_is_local =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if listening.ip().is_loopback() && !redis_is_local {
        tracing::warn!(%listening, redis = %host, "routers on other machines cannot reach this address: see --host");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis_at(url: &str) -> Address {
        tidegate_store::address(url).expect("a good URL")
    }

    #[tokio::test]
    async fn a_given_address_is_taken_and_every_address_becomes_the_one_that_faces_redis() {
        let redis = redis_at("redis://127.0.0.1:6379");
        let own: SocketAddr = "127.0.0.3:8100".parse().expect("an address");
        assert_eq!(facing(&redis, own).await.expect("its own"), own);
        let every: SocketAddr = "0.0.0.0:8100".parse().expect("an address");
        let facing = facing(&redis, every).await.expect("the loopback address faces it");
        assert_eq!(facing, "127.0.0.1:8100".parse().expect("an address"));
    }

    #[tokio::test]
    async fn a_redis_without_an_address_asks_for_the_flag() {
        let every: SocketAddr = "0.0.0.0:8100".parse().expect("an address");
        let error = facing(&redis_at("unix:///tmp/redis.sock"), every).await.expect_err("no address");
        assert!(error.to_string().contains("--advertise-url"));
    }
}

//! Debian packages: the host's apt-get with private state, `.deb` files read as streams.

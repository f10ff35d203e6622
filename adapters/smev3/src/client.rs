//! The client side of SMEV 3, for upstreams.

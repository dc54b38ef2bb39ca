//! Links, addresses and names for network namespaces.

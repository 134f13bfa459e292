//! Arenas, their scopes and pools.

mod child;
mod listing;
mod model;
mod pool;
mod scopes;
mod sizes;
mod values;

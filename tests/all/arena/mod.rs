//! Arenas, their scopes and pools.

mod child;
mod model;
mod pool;
mod scopes;
mod sizes;
mod values;

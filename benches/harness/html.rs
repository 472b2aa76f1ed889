use super::*;
pub fn save(_r: &results::Results, _p: &std::path::Path) -> child::Fallible<()> {
    Ok(())
}

//! What a boot does before services start: the durable name, and the links in `/run`. No check is run, and nothing is waited for.
use crate::{
    component::driver::name_of,
    ports::{ComponentStore, Fault},
};
use bistable_boot::component::ComponentRecord;

/// Have the names of a component lead where its state says. Of one of which nothing is remembered, the link of this boot follows the
/// durable name: a device whose `state` is damaged runs its applications all the same.
///
/// # Errors
/// When a name can't be written.
pub fn write_links(
    store: &mut dyn ComponentStore,
    record: Option<&ComponentRecord>,
    name: &str,
) -> Result<(), Fault> {
    let Some(component) = record.and_then(|record| record.get(name)) else {
        let current = store.current(name)?;
        return show(store, name, current.as_deref());
    };
    let leads_to = component.leads_to().map(name_of);
    if store.current(name)? != leads_to {
        store.set_current(name, leads_to.as_deref())?;
    }
    show(store, name, leads_to.as_deref())
}

fn show(store: &mut dyn ComponentStore, name: &str, version: Option<&str>) -> Result<(), Fault> {
    if store.shown(name)?.as_deref() == version {
        return Ok(());
    }
    store.show(name, version)
}

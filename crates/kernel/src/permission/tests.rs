use super::*;

#[test]
fn what_a_permission_says_of_itself_fits_together() {
    for permission in Permission::ALL {
        let Declaration { name, tenant, platform, reading, keys, impersonators } = permission.declaration();
        assert_ne!(platform, Holder::StaffIn(&[]), "{name}: in which areas?");
        assert_eq!(reading, name.ends_with(":read"), "{name}");
        assert_eq!(tenant.is_none(), name.starts_with("platform:"), "{name}");
        assert!(!keys || (tenant.is_some() && impersonators), "{name}: a key acts in a tenant, for a person");
        assert!(tenant.is_none() || platform == Holder::SuperAdmin, "{name}: staff stays outside");
    }
}

#[test]
fn each_role_may_do_what_the_one_before_it_may() {
    let roles = [TenantRole::Viewer, TenantRole::Editor, TenantRole::Admin, TenantRole::Owner];
    for pair in roles.windows(2) {
        let (less, more) = (pair[0].permissions(), pair[1].permissions());
        assert_eq!(less.union(more), more);
        assert_ne!(less, more);
    }
}

#[test]
fn no_tenant_role_reaches_the_platform() {
    let owner = TenantRole::Owner.permissions();
    assert!(owner.iter().all(|permission| !permission.as_str().starts_with("platform:")));
}

#[test]
fn areas_narrow_what_staff_may_do_and_nothing_else() {
    let (staff, admin) = (PlatformRole::Staff, PlatformRole::SuperAdmin);
    assert_eq!(staff.permissions_in(None), staff.permissions());
    assert_eq!(staff.permissions_in(Some(StaffAreas::default())), Permissions::NONE);
    assert_eq!(staff.permissions_in(Some(StaffArea::ALL.to_vec().into())), staff.permissions());
    let billing = staff.permissions_in(Some(vec![StaffArea::Billing].into()));
    assert!(billing.contains(Permission::PlatformRefunds) && billing.contains(Permission::PlatformCustomers));
    assert!(
        !billing.contains(Permission::PlatformSupport) && !billing.contains(Permission::PlatformImpersonate)
    );
    assert_eq!(admin.permissions_in(Some(StaffAreas::default())), admin.permissions());
    for area in StaffArea::ALL {
        assert_ne!(staff.permissions_in(Some(vec![area].into())), Permissions::NONE, "{area:?}");
    }
}

#[test]
fn the_guide_of_staff_names_each_permission_with_its_areas() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/staff.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let rows = guide.lines().filter(|line| line.starts_with("| `platform:"));
    let told: Vec<(&str, &str)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            (cells[0].trim_matches('`'), cells[2])
        })
        .collect();
    let ours = Permission::ALL.into_iter().filter(|permission| permission.declaration().tenant.is_none());
    let declared: Vec<(&str, String)> = ours
        .map(|permission| match permission.declaration().platform {
            Holder::SuperAdmin => (permission.as_str(), "super admins only".to_owned()),
            Holder::StaffIn(areas) => {
                let areas: Vec<&str> = areas.iter().map(|area| area.as_str()).collect();
                (permission.as_str(), areas.join(", "))
            }
        })
        .collect();
    assert_eq!(told, declared.iter().map(|(name, areas)| (*name, areas.as_str())).collect::<Vec<_>>());
}

#[test]
fn names_are_read_back() {
    for permission in Permission::ALL {
        assert_eq!(Permission::parse(permission.as_str()), Some(permission));
    }
    assert_eq!(Permission::parse("pages:*"), None);
}

#[test]
fn sets_are_compared() {
    let (viewer, owner) = (TenantRole::Viewer.permissions(), TenantRole::Owner.permissions());
    assert!(viewer.is_subset(owner) && !owner.is_subset(viewer));
    assert_eq!(viewer.intersection(owner), viewer);
    assert_eq!(Permissions::from_list(&viewer.iter().collect::<Vec<_>>()), viewer);
}

//! What a caller may do in the tenant that a request is about.

use portico_kernel::{Permission, Permissions, PlatformRole, TenantId, TenantRole};

use crate::{
    IdentityError,
    session::{CallerState, TenantAccess},
};

impl CallerState {
    /// Whether only the role on the platform can give the caller access to a tenant that the request names. It is then still to
    /// be checked that the tenant exists, which membership would prove.
    pub fn needs_crossing(&self) -> bool {
        self.membership.is_none() && self.role == PlatformRole::SuperAdmin
    }

    /// The tenant that a request acts in, and what the caller may do in it: by their role as a member, else by their role on the
    /// platform.
    ///
    /// `named` is the tenant that the request itself names, `there` whether [a caller who crosses into it](Self::needs_crossing)
    /// finds it.
    ///
    /// # Errors
    /// [`IdentityError::TenantSuspended`] for members; [`IdentityError::NotFound`] for others, as for a tenant that does not
    /// exist.
    pub fn enter(
        &self,
        named: Option<TenantId>,
        there: bool,
    ) -> Result<(Option<TenantId>, Permissions), IdentityError> {
        let on_platform = self.role.permissions_in(self.staff_areas);
        match (self.membership, named) {
            (Some((tenant, role)), _) => Ok((Some(tenant), of_member(on_platform, role, self.access))),
            (None, None) => Ok((None, on_platform)),
            (None, Some(tenant)) if there && self.needs_crossing() => Ok((Some(tenant), on_platform)),
            (None, Some(_)) if self.access == TenantAccess::Suspended => Err(IdentityError::TenantSuspended),
            (None, Some(_)) => Err(IdentityError::NotFound("tenant")),
        }
    }
}

/// What a member may do in a tenant, by what they may do outside of it and their role there.
pub fn of_member(on_platform: Permissions, role: TenantRole, access: TenantAccess) -> Permissions {
    on_platform.union(left_of(role, access))
}

/// What the state of a tenant leaves of a member's role. One that is about to be deleted can be read, and an owner can cancel the
/// deletion, which takes the permission to delete.
fn left_of(role: TenantRole, access: TenantAccess) -> Permissions {
    let all = role.permissions();
    match access {
        TenantAccess::Full => all,
        TenantAccess::ReadOnly => {
            all.reading().union(all.intersection(Permissions::from_list(&[Permission::TenantDelete])))
        }
        TenantAccess::Suspended => Permissions::NONE,
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{StaffArea, Timestamp, UserId};
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn caller(role: PlatformRole, membership: Option<TenantRole>, access: TenantAccess) -> CallerState {
        CallerState {
            user: UserId::from_uuid(Uuid::from_u128(9)),
            email_verified: true,
            role,
            staff_areas: None,
            impersonator: None,
            expires_at: Timestamp::from_unix_seconds(0).unwrap(),
            membership: membership.map(|role| (tenant(1), role)),
            access,
            plan: None,
            requests_per_minute: None,
        }
    }

    fn permissions(caller: &CallerState, named: Option<TenantId>, there: bool) -> Permissions {
        caller.enter(named, there).unwrap().1
    }

    #[test]
    fn a_member_has_what_the_state_of_the_tenant_leaves_of_the_role() {
        let owner = TenantRole::Owner;
        for named in [None, Some(tenant(1))] {
            let full = caller(PlatformRole::Customer, Some(owner), TenantAccess::Full);
            assert_eq!(full.enter(named, false).unwrap(), (Some(tenant(1)), owner.permissions()));
            let reading = caller(PlatformRole::Customer, Some(owner), TenantAccess::ReadOnly);
            let left = permissions(&reading, named, false);
            assert!(left.contains(Permission::PagesRead) && left.contains(Permission::TenantDelete));
            assert!(!left.contains(Permission::PagesWrite) && !left.contains(Permission::TenantWrite));
            let suspended = caller(PlatformRole::Customer, Some(owner), TenantAccess::Suspended);
            assert_eq!(permissions(&suspended, named, false), Permissions::NONE);
        }
    }

    #[test]
    fn whoever_is_no_member_finds_no_tenant_that_they_name() {
        for role in [PlatformRole::Customer, PlatformRole::SuperAdmin] {
            let stranger = caller(role, None, TenantAccess::Full);
            assert!(matches!(stranger.enter(Some(tenant(1)), false), Err(IdentityError::NotFound(_))));
            assert_eq!(stranger.enter(None, false).unwrap(), (None, role.permissions()));
            let suspended = caller(role, None, TenantAccess::Suspended);
            assert!(matches!(suspended.enter(Some(tenant(1)), false), Err(IdentityError::TenantSuspended)));
        }
    }

    #[test]
    fn staff_have_what_their_areas_leave_them() {
        let areas = Some(vec![StaffArea::Content].into());
        for membership in [None, Some(TenantRole::Viewer)] {
            let staff = CallerState {
                staff_areas: areas,
                ..caller(PlatformRole::Staff, membership, TenantAccess::Full)
            };
            let left = permissions(&staff, None, false);
            assert!(
                left.contains(Permission::PlatformTemplates) && !left.contains(Permission::PlatformRefunds)
            );
            assert_eq!(left.contains(Permission::PagesRead), membership.is_some());
        }
    }

    #[test]
    fn only_a_super_admin_crosses_into_a_tenant_and_only_into_one_that_is_there() {
        let admin = caller(PlatformRole::SuperAdmin, None, TenantAccess::Full);
        assert!(admin.needs_crossing());
        assert_eq!(
            admin.enter(Some(tenant(2)), true).unwrap(),
            (Some(tenant(2)), PlatformRole::SuperAdmin.permissions())
        );
        let member = caller(PlatformRole::SuperAdmin, Some(TenantRole::Viewer), TenantAccess::Full);
        assert!(!member.needs_crossing());
        let stranger = caller(PlatformRole::Customer, None, TenantAccess::Full);
        assert!(!stranger.needs_crossing());
        assert!(stranger.enter(Some(tenant(2)), true).is_err());
    }
}

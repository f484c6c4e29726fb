//! Flows of invitations across tenancy and identity: the owner of the invited address, and the message with the link.

use portico_identity::{
    Accounts,
    mail::Recipient,
    user::{EmailAddress, UserStatus},
};
use portico_kernel::{Env, InvitationId, Job, Scope};
use portico_runtime::{
    store::UnitOfWork,
    worker::jobs::{JobError, scope},
};
use portico_tenancy::{
    TenancyError,
    invitation::{Invitation, Invitations, Invited, MailInvitation, NewInvitation, ReceivedInvitation},
    mail::TenantMail,
    membership::Membership,
};
use portico_web::problem::Problem;

use crate::state::App;

/// Creates an invitation, in the caller's language if it names none.
pub async fn create(
    work: &mut dyn UnitOfWork,
    env: &Env,
    scope: &Scope,
    input: NewInvitation,
) -> Result<Invitation, Problem> {
    let language = Accounts::new(&mut *work, scope, env).profile().await?.language;
    let invitation = Invitations::new(&mut *work, scope, env).create(input, &language).await?;
    Ok(invitation)
}

/// The invitation as shown to the holder of its link.
pub async fn look_up(app: &App, scope: &Scope, token: &str) -> Result<ReceivedInvitation, Problem> {
    let hash = app.tokens.digest(token);
    Ok(Invited::new(&mut *app.core.reader(), scope, &app.core.env).by_token(hash).await?)
}

/// Accepts by the link. Holding it proves access to the invited mailbox, so if the address is that of the caller's account,
/// it counts as verified from then on. Errors: [`TenancyError::WrongAccount`].
pub async fn accept_by_token(
    work: &mut dyn UnitOfWork,
    app: &App,
    scope: &Scope,
    token: &str,
) -> Result<Membership, Problem> {
    scope.require_not_impersonated()?;
    let (env, hash) = (&app.core.env, app.tokens.digest(token));
    let invitation = Invited::new(&mut *work, scope, env).by_token(hash).await?;
    let address = EmailAddress::trusted(invitation.email.clone());
    if !Accounts::new(&mut *work, scope, env).prove_own_address(&address).await? {
        return Err(TenancyError::WrongAccount.into());
    }
    let membership = Invited::new(&mut *work, scope, env).accept(&invitation).await?;
    Ok(membership)
}

/// Declines by the link; no account is needed.
pub async fn decline_by_token(app: &App, scope: &Scope, token: &str) -> Result<(), Problem> {
    let hash = app.tokens.digest(token);
    let mut work = app.core.begin().await?;
    let invitation = Invited::new(&mut *work, scope, &app.core.env).by_token(hash).await?;
    Invited::new(&mut *work, scope, &app.core.env).decline(&invitation).await?;
    work.commit().await?;
    Ok(())
}

/// The open invitations to the caller's address, which must be verified: otherwise an account could claim an address to
/// read another person's invitations.
pub async fn mine(app: &App, scope: &Scope) -> Result<Vec<ReceivedInvitation>, Problem> {
    let mut repositories = app.core.reader();
    let user = Accounts::new(&mut *repositories, scope, &app.core.env).profile().await?;
    if !user.email_verified {
        return Ok(Vec::new());
    }
    Ok(Invited::new(&mut *repositories, scope, &app.core.env).for_address(user.email.as_str()).await?)
}

/// Accepts one of the invitations to the caller's verified address.
pub async fn accept(
    work: &mut dyn UnitOfWork,
    env: &Env,
    scope: &Scope,
    id: InvitationId,
) -> Result<Membership, Problem> {
    scope.require_not_impersonated()?;
    scope.require_verified()?;
    let user = Accounts::new(&mut *work, scope, env).profile().await?;
    let mut invited = Invited::new(&mut *work, scope, env);
    let invitation = invited.for_address_by_id(user.email.as_str(), id).await?;
    Ok(invited.accept(&invitation).await?)
}

/// Declines one of the invitations to the caller's verified address.
pub async fn decline(
    work: &mut dyn UnitOfWork,
    env: &Env,
    scope: &Scope,
    id: InvitationId,
) -> Result<(), Problem> {
    scope.require_not_impersonated()?;
    scope.require_verified()?;
    let user = Accounts::new(&mut *work, scope, env).profile().await?;
    let mut invited = Invited::new(&mut *work, scope, env);
    let invitation = invited.for_address_by_id(user.email.as_str(), id).await?;
    Ok(invited.decline(&invitation).await?)
}

/// `invitation.mail`: makes the link and sends it, unless the invitation is no longer open or the inviter's account is
/// gone. The address may belong to a stranger, so the message names the tenant by its subdomain and the inviter by their
/// verified address, not by names that they chose. An attempt that fails after the secret was stored leaves a link that was
/// never sent; the next attempt replaces it.
pub async fn mail(
    app: &App,
    MailInvitation { invitation_id }: MailInvitation,
    job: &Job,
) -> Result<(), JobError> {
    let scope = scope(job);
    let token = app.core.env.secret();
    let mut work = app.core.begin().await?;
    let invitation = Invitations::new(&mut *work, &scope, &app.core.env)
        .issue(invitation_id, app.tokens.digest(&token))
        .await?;
    let Some(invitation) = invitation else { return Ok(()) };
    let inviter = work.users().find(invitation.invited_by).await?;
    let inviter = inviter.filter(|user| user.status == UserStatus::Active && user.email_verified);
    let tenant = work.tenants().find(invitation.tenant).await?;
    let (Some(inviter), Some(tenant)) = (inviter, tenant) else { return Ok(()) };
    work.commit().await?;
    let to = Recipient::unverified(EmailAddress::trusted(invitation.email), invitation.language);
    let mail = TenantMail::Invitation {
        tenant: tenant.subdomain.into_string(),
        inviter: inviter.email.as_str().to_owned(),
        role: invitation.role,
        token,
        expires_at: invitation.expires_at,
    };
    app.mail.send(job, &to, &mail).await
}

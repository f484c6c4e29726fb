//! [`portico_sites::ports::DeploymentRepository`].

use portico_kernel::PageRequest;
use portico_sites::{
    deployment::{Deployment, DeploymentStatus},
    ports::SiteRepositories,
};
use portico_testkit::on_each_database;

use crate::fixture::{Fixture, assert_conflict, assert_missing, assert_one_wins};

#[tokio::test]
async fn stores_and_finds_deployments_of_their_tenant_and_site_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let mut made = Vec::new();
        for _ in 0..3 {
            let deployment = Deployment { status: DeploymentStatus::Live, ..fixture.new_deployment(&site) };
            fixture.insert_deployment(&deployment).await.unwrap();
            made.insert(0, deployment);
        }
        let newest = made[0].clone();
        let mut reader = database.store().reader();
        let mut deployments = reader.deployments();
        assert_eq!(deployments.find(ours, site.id, newest.id).await.unwrap().as_ref(), Some(&newest));
        assert_eq!(deployments.find(theirs, site.id, newest.id).await.unwrap(), None);
        assert_eq!(deployments.find(ours, other.id, newest.id).await.unwrap(), None);
        assert_eq!(deployments.latest(ours, site.id).await.unwrap(), Some(newest));
        assert_eq!(deployments.latest(ours, other.id).await.unwrap(), None);
        assert_eq!(deployments.latest(theirs, site.id).await.unwrap(), None);
        let list = deployments.list(ours, site.id, PageRequest { page: 1, limit: 2 }).await.unwrap();
        assert_eq!((list.items.as_slice(), list.total), (&made[..2], 3));
        let list = deployments.list(ours, site.id, PageRequest { page: 2, limit: 2 }).await.unwrap();
        assert_eq!((list.items.as_slice(), list.total), (&made[2..], 3));
        assert_eq!(deployments.list(theirs, site.id, PageRequest::default()).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test]
async fn one_of_many_is_in_progress() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (site, other) = (fixture.site(tenant, "shop").await, fixture.site(tenant, "other").await);
        let many: Vec<_> = (0..16).map(|_| fixture.new_deployment(&site)).collect();
        assert_one_wins(many.iter().map(|deployment| fixture.insert_deployment(deployment))).await;
        // Each site for itself.
        fixture.insert_deployment(&fixture.new_deployment(&other)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_next_one_begins_when_the_last_one_has_ended() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        for end in [DeploymentStatus::Live, DeploymentStatus::Failed] {
            let mut deployment = fixture.new_deployment(&site);
            fixture.insert_deployment(&deployment).await.unwrap();
            deployment.status = DeploymentStatus::Building;
            deployment.progress = 40;
            deployment.started_at = Some(fixture.new_deployment(&site).created_at);
            fixture.write(async |unit| unit.deployments().update(&deployment).await).await.unwrap();
            assert_conflict(fixture.insert_deployment(&fixture.new_deployment(&site)).await);
            deployment.status = end;
            deployment.progress = 100;
            deployment.error = (end == DeploymentStatus::Failed).then(|| "A template is broken.".to_owned());
            deployment.finished_at = Some(fixture.new_deployment(&site).created_at);
            fixture.write(async |unit| unit.deployments().update(&deployment).await).await.unwrap();
            let latest =
                database.store().reader().deployments().latest(site.tenant_id, site.id).await.unwrap();
            assert_eq!(latest, Some(deployment));
        }
        fixture.insert_deployment(&fixture.new_deployment(&site)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deployment_needs_a_site_of_its_own_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(theirs, "shop").await;
        let smuggled = Deployment { tenant: ours, ..fixture.new_deployment(&site) };
        assert_missing(fixture.insert_deployment(&smuggled).await);
    })
    .await;
}

#[tokio::test]
async fn live_are_those_whose_files_are_kept() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let mut live = Vec::new();
        for status in [DeploymentStatus::Live, DeploymentStatus::Failed, DeploymentStatus::Live] {
            let deployment = Deployment { status, ..fixture.new_deployment(&site) };
            fixture.insert_deployment(&deployment).await.unwrap();
            if status == DeploymentStatus::Live {
                live.insert(0, deployment);
            }
        }
        fixture.insert_deployment(&fixture.new_deployment(&site)).await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.deployments().live(ours, site.id).await.unwrap(), live);
        assert_eq!(reader.deployments().live(theirs, site.id).await.unwrap(), []);
        assert_eq!(reader.deployments().live(ours, other.id).await.unwrap(), []);
        let cleaned =
            Deployment { cleaned_at: Some(fixture.new_site(ours, "x").created_at), ..live[1].clone() };
        fixture.write(async |unit| unit.deployments().update(&cleaned).await).await.unwrap();
        assert_eq!(reader.deployments().live(ours, site.id).await.unwrap(), live[..1]);
        let found = reader.deployments().find(ours, site.id, cleaned.id).await.unwrap();
        assert_eq!(found, Some(cleaned));
    })
    .await;
}

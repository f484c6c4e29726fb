//! [`portico_sites::ports::WizardRepository`].

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use portico_kernel::{PageRequest, StoreError, TenantId};
use portico_sites::{
    ports::{SiteRepositories, WizardFilter},
    section::SectionType,
    wizard::{
        ContentChoice, ContentMode, Generation, GenerationStatus, PageState, Wizard, WizardStatus,
        WizardUpdate, WrittenPage, WrittenSection,
    },
};
use portico_testkit::on_each_database;
use serde_json::json;

use crate::fixture::{Fixture, assert_blocks, assert_missing, assert_stale};

fn new_wizard(fixture: &Fixture<'_>, tenant: TenantId) -> Wizard {
    // A site that is never stored lends its id and time.
    let stand_in = fixture.new_site(tenant, "stand-in");
    let said: WizardUpdate = serde_json::from_value(json!({
        "businessInfo": {"name": "Óptica Luz", "industry": "optician"},
        "pages": [{"key": "home"}, {"title": "Más"}],
        "design": {"colors": {"primary": "#aa0000"}},
    }))
    .expect("parts of a wizard");
    let id = stand_in.id.to_string().parse().expect("an id");
    let wizard = Wizard::empty(id, tenant, stand_in.created_at);
    Wizard { business_info: said.business_info, pages: said.pages, design: said.design, ..wizard }.assessed()
}

async fn insert(fixture: &Fixture<'_>, wizard: &Wizard, most: u64) -> Result<bool, StoreError> {
    fixture.write(async |unit| unit.wizards().insert(wizard, most).await).await
}

pub async fn stored(fixture: &Fixture<'_>, tenant: TenantId) -> Wizard {
    let wizard = new_wizard(fixture, tenant);
    assert!(insert(fixture, &wizard, 100).await.unwrap());
    wizard
}

fn run(wizard: &Wizard, pages: &[&str]) -> Generation {
    let page = |name: &&str| WrittenPage {
        page: (*name).to_owned(),
        title: name.to_uppercase(),
        status: PageState::Pending,
        sections: Vec::new(),
    };
    Generation {
        run: Some(wizard.id.to_string().parse().expect("an id")),
        status: GenerationStatus::Queued,
        pages: pages.iter().map(page).collect(),
        requested_at: Some(wizard.created_at),
        ..Generation::none(wizard.tenant, wizard.id)
    }
}

#[tokio::test]
async fn stores_what_was_said_for_its_tenant_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let wizard = stored(&fixture, ours).await;
        let mut reader = database.store().reader();
        let mut wizards = reader.wizards();
        assert_eq!(wizards.find(ours, wizard.id).await.unwrap().as_ref(), Some(&wizard));
        assert_eq!(wizards.find(theirs, wizard.id).await.unwrap(), None);
        let lock = async |tenant| {
            fixture.write(async |unit| unit.wizards().lock(tenant, wizard.id).await).await.unwrap()
        };
        assert_eq!((lock(theirs).await, lock(ours).await), (None, Some(wizard.clone())));
        let gone = fixture.write(async |unit| unit.wizards().delete(theirs, wizard.id).await).await;
        assert!(!gone.unwrap());
        let gone = fixture.write(async |unit| unit.wizards().delete(ours, wizard.id).await).await;
        assert!(gone.unwrap());
        assert_eq!(wizards.find(ours, wizard.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn no_more_are_open_than_may_be_also_of_many_at_once() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let completed = Wizard { status: WizardStatus::Completed, ..new_wizard(&fixture, ours) };
        assert!(insert(&fixture, &completed, 3).await.unwrap());
        let many: Vec<Wizard> = (0..12).map(|_| new_wizard(&fixture, ours)).collect();
        let tries = many.iter().map(|wizard| insert(&fixture, wizard, 3));
        let stored = futures_util::future::join_all(tries).await;
        assert_eq!(stored.into_iter().filter(|stored| *stored.as_ref().unwrap()).count(), 3);
        assert!(insert(&fixture, &new_wizard(&fixture, theirs), 3).await.unwrap(), "each tenant for itself");
    })
    .await;
}

#[tokio::test]
async fn lists_the_last_changed_first_and_by_status() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let first = stored(&fixture, ours).await;
        let second = stored(&fixture, ours).await;
        let changed = Wizard {
            status: WizardStatus::Completed,
            updated_at: fixture.new_site(ours, "later").created_at,
            ..first.clone()
        };
        fixture.write(async |unit| unit.wizards().update(&changed).await).await.unwrap();
        let mut reader = database.store().reader();
        let mut wizards = reader.wizards();
        let all = wizards.list(ours, WizardFilter::default(), PageRequest::default()).await.unwrap();
        assert_eq!(all.items.iter().map(|wizard| wizard.id).collect::<Vec<_>>(), [first.id, second.id]);
        let open = WizardFilter { status: Some(WizardStatus::InProgress) };
        let open = wizards.list(ours, open, PageRequest { page: 1, limit: 1 }).await.unwrap();
        assert_eq!((open.items[0].id, open.total), (second.id, 1));
        let none = wizards.list(theirs, WizardFilter::default(), PageRequest::default()).await.unwrap();
        assert_eq!(none.total, 0);
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_one_is_late_and_a_site_must_be_there() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, foreign) = (fixture.site(ours, "shop").await, fixture.site(theirs, "theirs").await);
        let wizard = stored(&fixture, ours).await;
        let update =
            async |wizard: &Wizard| fixture.write(async |unit| unit.wizards().update(wizard).await).await;
        let missing = Wizard { site_id: Some(foreign.id), ..wizard.clone() };
        assert_missing(update(&missing).await);
        let made = Wizard {
            status: WizardStatus::Completed,
            site_id: Some(site.id),
            content: Some(ContentChoice { mode: Some(ContentMode::Own), sections: Vec::new() }),
            generated_at: Some(wizard.created_at),
            completed_at: Some(wizard.created_at),
            ..wizard.clone()
        };
        update(&made).await.unwrap();
        assert_stale(update(&made).await);
        let found = database.store().reader().wizards().find(ours, wizard.id).await.unwrap();
        assert_eq!(found, Some(Wizard { version: 2, ..made }.assessed()));
        fixture.write(async |unit| unit.sites().delete(ours, site.id).await).await.unwrap();
        let found = database.store().reader().wizards().find(ours, wizard.id).await.unwrap();
        assert_eq!(found, None, "it goes with its site");
    })
    .await;
}

#[tokio::test]
async fn a_locked_wizard_waits() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let wizard = stored(&fixture, tenant).await;
        assert_blocks(&fixture, async |unit| {
            unit.wizards().lock(tenant, wizard.id).await.expect("the lock").expect("the wizard");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn texts_are_stored_page_by_page_and_replaced_by_another_run() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let wizard = stored(&fixture, ours).await;
        let put = async |run: &Generation| {
            fixture.write(async |unit| unit.wizards().put_generation(run).await).await
        };
        let read =
            async |tenant| database.store().reader().wizards().generation(tenant, wizard.id).await.unwrap();
        let first = run(&wizard, &["home", "about", "contact"]);
        assert_missing(put(&Generation { tenant: theirs, ..first.clone() }).await);
        assert_eq!(read(ours).await, None);
        put(&first).await.unwrap();
        assert_eq!((read(ours).await, read(theirs).await), (Some(first.clone().assessed()), None));

        let mut second = run(&wizard, &["about", "home"]);
        second.status = GenerationStatus::Running;
        put(&second).await.unwrap();
        second.started_at = Some(wizard.created_at);
        second.tokens = 17;
        second.error = Some("Down.".to_owned());
        second.pages[1].status = PageState::Done;
        second.pages[1].sections = vec![WrittenSection {
            key: "hero".to_owned(),
            kind: SectionType::Hero,
            content: json!({"heading": "Óptica"}),
            provenance: portico_sites::section::Provenance::Generated,
        }];
        // The pages of the run stay as they are; each is stored by itself.
        let header = Generation { pages: Vec::new(), ..second.clone() };
        fixture.write(async |unit| unit.wizards().update_generation(&header).await).await.unwrap();
        let write = async |tenant: TenantId| {
            let page = second.pages[1].clone();
            fixture.write(async |unit| unit.wizards().update_page(tenant, wizard.id, &page).await).await
        };
        write(theirs).await.unwrap();
        assert_eq!(read(ours).await.unwrap().pages[1].status, PageState::Pending);
        write(ours).await.unwrap();
        let found = read(ours).await.unwrap();
        assert_eq!(found, second.clone().assessed());
        assert_eq!(found.percent, 50);

        let forget = async |tenant: TenantId| {
            fixture.write(async |unit| unit.wizards().delete_generation(tenant, wizard.id).await).await
        };
        forget(theirs).await.unwrap();
        assert!(read(ours).await.is_some());
        forget(ours).await.unwrap();
        forget(ours).await.unwrap();
        assert_eq!(read(ours).await, None);
        put(&first).await.unwrap();
        fixture.write(async |unit| unit.wizards().delete(ours, wizard.id).await).await.unwrap();
        assert_eq!(read(ours).await, None, "texts go with the wizard");
    })
    .await;
}

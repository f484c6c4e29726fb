//! Runs through the wizard, in memory.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, WizardId};

use super::{View, page_of, replace};
use crate::{
    ports::{WizardFilter, WizardRepository},
    wizard::{Generation, Wizard, WizardStatus, WrittenPage},
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    pub wizards: Vec<Wizard>,
    pub generations: Vec<Generation>,
}

#[async_trait]
impl WizardRepository for View<'_> {
    async fn insert(&mut self, wizard: &Wizard, most: u64) -> Result<bool, StoreError> {
        let wizards = &mut self.0.wizards.wizards;
        let open =
            |other: &&Wizard| other.tenant == wizard.tenant && other.status == WizardStatus::InProgress;
        if wizards.iter().filter(open).count() as u64 >= most {
            return Ok(false);
        }
        wizards.push(wizard.clone());
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError> {
        Ok(self.0.wizards.wizards.iter().find(|other| other.tenant == tenant && other.id == id).cloned())
    }

    async fn lock(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError> {
        WizardRepository::find(self, tenant, id).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: WizardFilter,
        page: PageRequest,
    ) -> Result<List<Wizard>, StoreError> {
        let mine = self.0.wizards.wizards.iter().filter(|other| other.tenant == tenant);
        let found = mine.filter(|other| filter.status.is_none_or(|status| other.status == status));
        let mut found: Vec<Wizard> = found.cloned().collect();
        found.sort_by_key(|wizard| std::cmp::Reverse(wizard.updated_at));
        Ok(page_of(found, page))
    }

    async fn update(&mut self, wizard: &Wizard) -> Result<(), StoreError> {
        let id = wizard.id;
        replace(&mut self.0.wizards.wizards, |other| other.id == id, |other| &mut other.version, wizard)
    }

    async fn delete(&mut self, tenant: TenantId, id: WizardId) -> Result<bool, StoreError> {
        let before = self.0.wizards.wizards.len();
        self.0.wizards.wizards.retain(|other| !(other.tenant == tenant && other.id == id));
        self.0.wizards.generations.retain(|run| run.wizard_id != id);
        Ok(self.0.wizards.wizards.len() < before)
    }

    async fn generation(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Generation>, StoreError> {
        let runs = &self.0.wizards.generations;
        let run = runs.iter().find(|run| run.tenant == tenant && run.wizard_id == id).cloned();
        Ok(run.map(Generation::assessed))
    }

    async fn put_generation(&mut self, generation: &Generation) -> Result<(), StoreError> {
        self.0.wizards.generations.retain(|run| run.wizard_id != generation.wizard_id);
        self.0.wizards.generations.push(generation.clone());
        Ok(())
    }

    async fn update_generation(&mut self, generation: &Generation) -> Result<(), StoreError> {
        let runs = &mut self.0.wizards.generations;
        if let Some(run) = runs.iter_mut().find(|run| run.wizard_id == generation.wizard_id) {
            let pages = std::mem::take(&mut run.pages);
            *run = Generation { pages, ..generation.clone() };
        }
        Ok(())
    }

    async fn update_page(
        &mut self,
        tenant: TenantId,
        id: WizardId,
        page: &WrittenPage,
    ) -> Result<(), StoreError> {
        let mut runs = self.0.wizards.generations.iter_mut();
        let run = runs.find(|run| run.tenant == tenant && run.wizard_id == id);
        let stored = run.and_then(|run| run.pages.iter_mut().find(|other| other.page == page.page));
        if let Some(stored) = stored {
            stored.clone_from(page);
        }
        Ok(())
    }

    async fn delete_generation(&mut self, tenant: TenantId, id: WizardId) -> Result<(), StoreError> {
        self.0.wizards.generations.retain(|run| !(run.tenant == tenant && run.wizard_id == id));
        Ok(())
    }
}

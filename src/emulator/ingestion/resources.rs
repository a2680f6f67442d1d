//! A product's resources: what a *configure* wrote, over what follows from the offer's definition.
//! As little as clients need to change an image: product, property, plans, and the technical
//! configuration of virtual machines. golive reads none of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::view::{Target, View, product_type};
use crate::emulator::ids::{bytes_of, guid};
use crate::emulator::model::offer::Content;
use crate::emulator::model::submission::{Sight, Standing};

/// Where the Cloud Partner Portal's documents of virtual machine plans keep their images.
const IMAGES: &str = "microsoft-azure-corevm.vmImagesPublicAzure";

impl View<'_> {
    /// The resource tree of a target; `None` where the product was never published to it.
    pub(super) fn tree(&self, target: Target) -> Option<Value> {
        let standing = if self.is_twin {
            Standing::default()
        } else {
            Standing::of(self.offer, Sight::of_trees(self.moment))
        };
        let (content, submission) = match target {
            Target::Draft => (&self.offer.draft, self.draft()),
            Target::Preview | Target::Live => {
                // What went live is what preview shows (documented).
                let shown = match target {
                    Target::Live => standing.live,
                    Target::Preview | Target::Draft => standing.in_preview,
                }?;
                (self.offer.content(shown.version)?, self.submission(target, shown))
            }
        };
        let mut resources = self.resources(content);
        resources.push(json!(submission));
        if self.moment.behaviour.ingestion.shuffled == Some(true) {
            let now = self.moment.now.as_nanosecond();
            resources.sort_by_key(|it| bytes_of(&format!("{now} {:?}", it.get("id"))));
        }
        Some(json!({
            "$schema": self.schema("resource-tree"),
            "root": format!("product/{}", self.guid),
            "target": {"targetType": target.word()},
            "resources": resources
        }))
    }

    /// The plans of the draft.
    pub(super) fn plans(&self) -> Vec<Value> {
        let mut all = self.resources(&self.offer.draft);
        all.retain(|it| {
            it.get("id").and_then(Value::as_str).is_some_and(|id| id.starts_with("plan/"))
        });
        all
    }

    fn resources(&self, content: &Content) -> Vec<Value> {
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        let plans = content.definition.get("plans").and_then(Value::as_array);
        let made = plans.into_iter().flatten().flat_map(|plan| self.plan(plan));
        let product = [self.product_resource(), self.property()];
        for resource in product.into_iter().chain(made) {
            let id = resource.get("id").and_then(Value::as_str).unwrap_or_default();
            all.insert(id.to_owned(), resource);
        }
        all.extend(content.resources.iter().map(|(id, own)| (id.clone(), own.clone())));
        all.into_values().collect()
    }

    fn property(&self) -> Value {
        json!({
            "$schema": self.schema("property"),
            "id": format!("property/{}/main", self.guid),
            "product": format!("product/{}", self.guid),
            "kind": "azureVM",
            "termsOfUseUrl": null,
            "termsConditions": "standardContract",
            "categories": {}
        })
    }

    /// A plan, and its technical configuration where it is one of virtual machines.
    fn plan(&self, plan: &Value) -> Vec<Value> {
        let text = |key: &str| plan.get(key).and_then(Value::as_str);
        let Some(name) = text("planId") else { return Vec::new() };
        let own = guid(&format!("plan {} {name}", self.guid));
        let (product, plan_id) =
            (format!("product/{}", self.guid), format!("plan/{}/{own}", self.guid));
        let resource = json!({
            "$schema": self.schema("plan"),
            "id": plan_id,
            "product": product,
            "identity": {"externalId": name},
            "alias": text("displayText").unwrap_or(name),
            "azureRegions": ["azureGlobal"],
            "lifecycleState": "generallyAvailable"
        });
        if product_type(&self.offer.type_id).0 != "azureVirtualMachine" {
            return vec![resource];
        }
        let images = plan.get(IMAGES).and_then(Value::as_object);
        let versions = images.into_iter().flatten().map(|(number, image)| {
            json!({
                "versionNumber": number,
                "vmImages": [{
                    "imageType": "x64Gen1",
                    "source": {
                        "sourceType": "sasUri",
                        "osDisk": {"uri": image.get("osVhdUrl")},
                        "dataDisks": []
                    }
                }],
                "lifecycleState": "generallyAvailable"
            })
        });
        let configuration = "virtual-machine-plan-technical-configuration";
        let technical = json!({
            "$schema": self.schema(configuration),
            "id": format!("{configuration}/{}/{own}", self.guid),
            "product": product,
            "plan": plan_id,
            "operatingSystem": {"family": "linux", "type": "other", "friendlyName": name},
            "recommendedVmSizes": ["d2s-standard"],
            "openPorts": [],
            "vmProperties": {"supportsExtensions": true},
            "skus": [
                {"imageType": "x64Gen1", "skuId": name},
                {"imageType": "x64Gen2", "skuId": format!("{name}-gen2")}
            ],
            "vmImageVersions": versions.collect::<Vec<_>>()
        });
        vec![resource, technical]
    }
}

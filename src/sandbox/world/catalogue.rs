//! The catalogue: what is sold, as Salesforce lists it and WHMCS provisions it.

use rust_decimal::Decimal;

/// One product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its place, from 1; `k` of its Salesforce ids.
    pub index: u32,
    /// SKU.
    pub sku: &'static str,
    /// Name.
    pub name: &'static str,
    /// `Internet`, `SIM`, `VPN`, `Other`.
    pub category: &'static str,
    /// `Service`, `Installation`, `Add-on`, `Activation`.
    pub item_class: &'static str,
    /// `Monthly`, `Onetime`.
    pub billing_cycle: &'static str,
    /// WHMCS product id.
    pub whmcs_pid: u32,
    /// WHMCS product group.
    pub whmcs_group: &'static str,
    /// JPY without tax.
    yen: u32,
    /// `Silver`, `Gold`, `Platinum`: Internet plans only.
    pub tier: Option<&'static str>,
    /// `Home 1G`, `Apartment 1G`, `Apartment 100M`: Internet plans only.
    pub offering: Option<&'static str>,
    /// `5GB`: SIM plans only.
    pub data_size: Option<&'static str>,
    /// `DataOnly`, `DataSmsVoice`: SIM plans only.
    pub plan_type: Option<&'static str>,
    /// `USA-SF`, `UK-London`: VPN plans only.
    pub region: Option<&'static str>,
    /// Whether it is the family-discount variant of a SIM plan.
    pub has_family_discount: bool,
    /// The default choice of its class.
    pub is_default: bool,
    /// Added to an order by itself.
    pub auto_add: bool,
    /// A customer can pick it in the catalogue.
    pub portal_catalog: bool,
    /// It may stand in an order.
    pub portal_accessible: bool,
    /// Place in the shop, 0 first.
    pub display_order: u32,
}

impl Product {
    /// JPY without tax.
    pub fn price(&self) -> Decimal {
        Decimal::from(self.yen)
    }

    /// Whether it is billed once.
    pub fn is_onetime(&self) -> bool {
        self.billing_cycle == "Onetime"
    }

    /// Whether it is a SIM plan: its services have a line.
    pub fn is_sim_plan(&self) -> bool {
        self.data_size.is_some()
    }

    /// WHMCS billing cycle: `Monthly`, `One Time`.
    pub fn whmcs_cycle(&self) -> &'static str {
        if self.is_onetime() { "One Time" } else { "Monthly" }
    }

    /// Freebit plan code of a SIM plan: `SBX_5G`, and `SBX_5G_D` without voice.
    pub fn plan_code(&self) -> Option<&'static str> {
        Some(match (self.data_size?, self.plan_type? == "DataOnly") {
            ("5GB", false) => "SBX_5G",
            ("10GB", false) => "SBX_10G",
            ("25GB", false) => "SBX_25G",
            ("50GB", false) => "SBX_50G",
            ("5GB", true) => "SBX_5G_D",
            ("10GB", true) => "SBX_10G_D",
            ("25GB", true) => "SBX_25G_D",
            (_, _) => "SBX_50G_D",
        })
    }

    /// Monthly quota of a SIM plan, MB (1 GB = 1000 MB).
    pub fn quota_mb(&self) -> Option<u64> {
        Some(self.data_size?.trim_end_matches("GB").parse::<u64>().ok()? * 1000)
    }
}

const BLANK: Product = Product {
    index: 0,
    sku: "",
    name: "",
    category: "",
    item_class: "Service",
    billing_cycle: "Monthly",
    whmcs_pid: 0,
    whmcs_group: "",
    yen: 0,
    tier: None,
    offering: None,
    data_size: None,
    plan_type: None,
    region: None,
    has_family_discount: false,
    is_default: false,
    auto_add: false,
    portal_catalog: true,
    portal_accessible: true,
    display_order: 0,
};

const fn internet(
    index: u32,
    sku: &'static str,
    name: &'static str,
    tier: &'static str,
    offering: &'static str,
    whmcs_pid: u32,
    yen: u32,
) -> Product {
    Product {
        index,
        sku,
        name,
        category: "Internet",
        whmcs_group: "Fiber Internet",
        tier: Some(tier),
        offering: Some(offering),
        whmcs_pid,
        yen,
        display_order: index,
        ..BLANK
    }
}

const fn extra(
    index: u32,
    sku: &'static str,
    name: &'static str,
    category: &'static str,
    item_class: &'static str,
    whmcs_pid: u32,
    yen: u32,
) -> Product {
    Product {
        index,
        sku,
        name,
        category,
        item_class,
        whmcs_group: match category.as_bytes()[0] {
            b'I' => "Internet Options",
            b'S' => "Mobile Options",
            _ => "VPN",
        },
        whmcs_pid,
        yen,
        portal_catalog: false,
        display_order: index,
        ..BLANK
    }
}

const fn once(product: Product) -> Product {
    Product { billing_cycle: "Onetime", ..product }
}

const fn by_default(product: Product) -> Product {
    Product { is_default: true, auto_add: true, ..product }
}

const fn sim(
    index: u32,
    sku: &'static str,
    name: &'static str,
    data_size: &'static str,
    plan_type: &'static str,
    whmcs_pid: u32,
    yen: u32,
) -> Product {
    Product {
        index,
        sku,
        name,
        category: "SIM",
        whmcs_group: "Mobile SIM",
        data_size: Some(data_size),
        plan_type: Some(plan_type),
        whmcs_pid,
        yen,
        display_order: index,
        ..BLANK
    }
}

const fn family(product: Product) -> Product {
    Product { has_family_discount: true, ..product }
}

const fn vpn(
    index: u32,
    sku: &'static str,
    name: &'static str,
    region: &'static str,
    whmcs_pid: u32,
    yen: u32,
) -> Product {
    Product {
        index,
        sku,
        name,
        category: "VPN",
        whmcs_group: "VPN",
        region: Some(region),
        whmcs_pid,
        yen,
        display_order: index,
        ..BLANK
    }
}

const VOICE: &str = "DataSmsVoice";
const DATA: &str = "DataOnly";

/// Everything that is sold. SKUs and the WHMCS ids that are known: domain reference §13.3.
#[rustfmt::skip]
pub static PRODUCTS: &[Product] = &[
    internet(1, "INTERNET-SILVER-HOME-1G", "Internet Silver (Home 1Gbps)", "Silver", "Home 1G", 181, 6000),
    Product { is_default: true, ..internet(2, "INTERNET-GOLD-HOME-1G", "Internet Gold (Home 1Gbps)", "Gold", "Home 1G", 182, 6500) },
    internet(3, "INTERNET-PLATINUM-HOME-1G", "Internet Platinum (Home 1Gbps)", "Platinum", "Home 1G", 183, 7500),
    internet(4, "INTERNET-SILVER-APT-1G", "Internet Silver (Apartment 1Gbps)", "Silver", "Apartment 1G", 184, 4800),
    internet(5, "INTERNET-GOLD-APT-1G", "Internet Gold (Apartment 1Gbps)", "Gold", "Apartment 1G", 185, 5300),
    internet(6, "INTERNET-PLATINUM-APT-1G", "Internet Platinum (Apartment 1Gbps)", "Platinum", "Apartment 1G", 186, 6300),
    internet(7, "INTERNET-SILVER-APT-100M", "Internet Silver (Apartment 100Mbps)", "Silver", "Apartment 100M", 187, 4300),
    internet(8, "INTERNET-GOLD-APT-100M", "Internet Gold (Apartment 100Mbps)", "Gold", "Apartment 100M", 188, 4800),
    internet(9, "INTERNET-PLATINUM-APT-100M", "Internet Platinum (Apartment 100Mbps)", "Platinum", "Apartment 100M", 189, 5800),
    Product { is_default: true, ..once(extra(10, "INTERNET-INSTALL-SINGLE", "NTT Installation Fee (Single Payment)", "Internet", "Installation", 242, 22800)) },
    extra(11, "INTERNET-INSTALL-12M", "NTT Installation Fee (12 Instalments)", "Internet", "Installation", 243, 1900),
    extra(12, "INTERNET-INSTALL-24M", "NTT Installation Fee (24 Instalments)", "Internet", "Installation", 244, 950),
    once(extra(13, "INTERNET-INSTALL-WEEKEND", "Weekend Installation Surcharge", "Internet", "Installation", 245, 3000)),
    extra(14, "INTERNET-ADDON-HOME-PHONE", "Hikari Denwa (Home Phone)", "Internet", "Add-on", 246, 450),
    once(extra(15, "INTERNET-ADDON-HOME-PHONE-INSTALL", "Hikari Denwa Installation", "Internet", "Add-on", 247, 1000)),
    sim(16, "SIM-DATA-ONLY-5GB", "SIM Data Only 5GB", "5GB", DATA, 97, 900),
    sim(17, "SIM-DATA-ONLY-10GB", "SIM Data Only 10GB", "10GB", DATA, 98, 1300),
    sim(18, "SIM-DATA-ONLY-25GB", "SIM Data Only 25GB", "25GB", DATA, 99, 2100),
    sim(19, "SIM-DATA-VOICE-5GB", "SIM Data + Voice 5GB", "5GB", VOICE, 100, 1600),
    Product { is_default: true, ..sim(20, "SIM-DATA-VOICE-10GB", "SIM Data + Voice 10GB", "10GB", VOICE, 101, 2000) },
    sim(21, "SIM-DATA-VOICE-25GB", "SIM Data + Voice 25GB", "25GB", VOICE, 102, 2800),
    sim(22, "SIM-DATA-VOICE-50GB", "SIM Data + Voice 50GB", "50GB", VOICE, 103, 4600),
    family(sim(23, "SIM-DATA-VOICE-25GB-FAMILY", "SIM Data + Voice 25GB (Family)", "25GB", VOICE, 104, 2500)),
    family(sim(24, "SIM-DATA-VOICE-50GB-FAMILY", "SIM Data + Voice 50GB (Family)", "50GB", VOICE, 105, 4300)),
    by_default(once(extra(25, "SIM-ACTIVATION-FEE", "SIM Activation Fee", "SIM", "Activation", 106, 1500))),
    extra(26, "SIM-ADDON-VOICE-MAIL", "Voice Mail", "SIM", "Add-on", 107, 300),
    extra(27, "SIM-ADDON-CALL-WAITING", "Call Waiting", "SIM", "Add-on", 108, 300),
    vpn(28, "VPN-REMOTE-ACCESS-USA-SF", "VPN Router Rental (USA, San Francisco)", "USA-SF", 33, 2500),
    vpn(29, "VPN-REMOTE-ACCESS-UK-LONDON", "VPN Router Rental (UK, London)", "UK-London", 54, 2500),
    by_default(once(extra(30, "VPN-ACTIVATION-FEE", "VPN Activation Fee", "VPN", "Activation", 37, 3000))),
];

/// The product with a SKU.
pub fn by_sku(sku: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.sku == sku)
}

/// The product with a WHMCS product id.
pub fn by_pid(pid: u32) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.whmcs_pid == pid)
}

/// The product with an index, from 1.
pub fn by_index(index: u32) -> Option<&'static Product> {
    PRODUCTS.get((index as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn indexes_skus_and_pids_are_unique_and_lead_back() {
        let skus: HashSet<_> = PRODUCTS.iter().map(|product| product.sku).collect();
        let pids: HashSet<_> = PRODUCTS.iter().map(|product| product.whmcs_pid).collect();
        assert_eq!((skus.len(), pids.len()), (PRODUCTS.len(), PRODUCTS.len()));
        for product in PRODUCTS {
            assert_eq!(by_index(product.index), Some(product));
            assert_eq!(product.plan_code().is_some(), product.is_sim_plan());
        }
    }
}

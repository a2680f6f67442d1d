//! The resource that a path names.

/// What stands before every path of the API.
pub(super) const BASE: [&str; 2] = ["rp", "product-ingestion"];

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Products,
    Product(String),
    /// `submission/{guid}`
    Submissions(String),
    /// `submission/{guid}/{number}`
    Submission(String, String),
    Plans,
    /// `resource-tree/product/{guid}`
    Tree(String),
    Configure,
    /// `configure/{id}`
    JobDetail(String),
    /// `configure/{id}/status`
    JobStatus(String),
    /// `configure/{id}/cancel`
    CancelJob(String),
}

impl Route {
    /// The resource a path names, if it names one. The API's own words compare without case.
    pub(super) fn parse(segments: &[String]) -> Option<Self> {
        // Some clients write two slashes after the base.
        let segments: Vec<&str> =
            segments.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
        let folded: Vec<String> = segments.iter().map(|it| it.to_ascii_lowercase()).collect();
        let words: Vec<&str> = folded.iter().map(String::as_str).collect();
        let own = |index: usize| Some((*segments.get(index + BASE.len())?).to_owned());
        Some(match words.strip_prefix(&BASE)? {
            ["product"] => Self::Products,
            ["product", _] => Self::Product(own(1)?),
            ["submission", _] => Self::Submissions(own(1)?),
            ["submission", _, _] => Self::Submission(own(1)?, own(2)?),
            ["plan"] => Self::Plans,
            ["resource-tree", "product", _] => Self::Tree(own(2)?),
            ["configure"] => Self::Configure,
            ["configure", _] => Self::JobDetail(own(1)?),
            ["configure", _, "status"] => Self::JobStatus(own(1)?),
            ["configure", _, "cancel"] => Self::CancelJob(own(1)?),
            _ => return None,
        })
    }

    /// Whether it takes POST, else GET.
    pub(super) fn is_post(&self) -> bool {
        match self {
            Self::Configure | Self::CancelJob(_) => true,
            Self::Products
            | Self::Product(_)
            | Self::Submissions(_)
            | Self::Submission(..)
            | Self::Plans
            | Self::Tree(_)
            | Self::JobDetail(_)
            | Self::JobStatus(_) => false,
        }
    }
}

//! Languages as packagers write them (RFC 5646, and ISO 639-2 where they know no better): `en`,
//! `eng` and `en-GB` are one language, `de` and `ger` too.

/// ISO 639-1 codes, each with those of ISO 639-2 and the older ones that mean the same.
const CODES: [&str; 16] = [
    "aa aar,ab abk,ae ave,af afr,ak aka,am amh,an arg,ar ara,as asm,av ava,ay aym,az aze,ba bak",
    "be bel,bg bul,bi bis,bm bam,bn ben,bo bod tib,br bre,bs bos,ca cat,ce che,ch cha,co cos",
    "cr cre,cs ces cze,cu chu,cv chv,cy cym wel,da dan,de deu ger,dv div,dz dzo,ee ewe,el ell gre",
    "en eng,eo epo,es spa,et est,eu eus baq,fa fas per,ff ful,fi fin,fj fij,fo fao,fr fra fre",
    "fy fry,ga gle,gd gla,gl glg,gn grn,gu guj,gv glv,ha hau,he heb iw,hi hin,ho hmo,hr hrv",
    "ht hat,hu hun,hy hye arm,hz her,ia ina,id ind in,ie ile,ig ibo,ii iii,ik ipk,io ido",
    "is isl ice,it ita,iu iku,ja jpn,jv jav,ka kat geo,kg kon,ki kik,kj kua,kk kaz,kl kal,km khm",
    "kn kan,ko kor,kr kau,ks kas,ku kur,kv kom,kw cor,ky kir,la lat,lb ltz,lg lug,li lim,ln lin",
    "lo lao,lt lit,lu lub,lv lav,mg mlg,mh mah,mi mri mao,mk mkd mac,ml mal,mn mon,mr mar",
    "ms msa may,mt mlt,my mya bur,na nau,nd nde,ne nep,ng ndo,nl nld dut,nn nno,no nor nb nob",
    "nr nbl,nv nav,ny nya,oc oci,oj oji,om orm,or ori,os oss,pa pan,pi pli,pl pol,ps pus,pt por",
    "qu que,rm roh,rn run,ro ron rum mo,ru rus,rw kin,sa san,sc srd,sd snd,se sme,sg sag,si sin",
    "sk slk slo,sl slv,sm smo,sn sna,so som,sq sqi alb,sr srp,ss ssw,st sot,su sun,sv swe,sw swa",
    "ta tam,te tel,tg tgk,th tha,ti tir,tk tuk,tl tgl fil,tn tsn,to ton,tr tur,ts tso,tt tat",
    "tw twi,ty tah,ug uig,uk ukr,ur urd,uz uzb,ve ven,vi vie,vo vol,wa wln,wo wol,xh xho",
    "yi yid ji,yo yor,za zha,zh zho chi cmn,zu zul",
];

/// How far two languages are apart, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Apart {
    /// The same, or neither side tells.
    Same,
    /// One language, of which one side tells more: `en` and `en-GB`.
    Less,
    /// One language in two regions or scripts: `pt-PT` and `pt-BR`.
    Region,
    /// One side does not tell.
    Untold,
    /// Two languages.
    Other,
}

/// How far the LANGUAGE attributes of two renditions are apart.
pub(super) fn apart(a: Option<&str>, b: Option<&str>) -> Apart {
    let (Some(a), Some(b)) = (told(a), told(b)) else {
        return if told(a).is_none() && told(b).is_none() { Apart::Same } else { Apart::Untold };
    };
    let (first, second) = (Tag::of(a), Tag::of(b));
    if !first.primary.eq_ignore_ascii_case(second.primary) {
        Apart::Other
    } else if first.rest.eq_ignore_ascii_case(second.rest) {
        Apart::Same
    } else if first.rest.is_empty() || second.rest.is_empty() {
        Apart::Less
    } else {
        Apart::Region
    }
}

/// The tag, unless it says nothing: `und` is what muxers write that were not told.
pub(super) fn told(tag: Option<&str>) -> Option<&str> {
    tag.filter(|tag| !tag.is_empty() && !tag.eq_ignore_ascii_case("und"))
}

struct Tag<'a> {
    primary: &'a str,
    rest: &'a str,
}

impl<'a> Tag<'a> {
    fn of(tag: &'a str) -> Self {
        let (primary, rest) = tag.split_once(['-', '_']).unwrap_or((tag, ""));
        Self { primary: short(primary), rest }
    }
}

/// The ISO 639-1 code that stands for `code`; itself where there is none.
fn short(code: &str) -> &str {
    let languages = CODES.iter().flat_map(|row| row.split(','));
    let known = |language: &&str| language.split(' ').any(|c| c.eq_ignore_ascii_case(code));
    languages.into_iter().find(known).and_then(|l| l.split(' ').next()).unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_one_language_are_one() {
        let cases = [
            (Some("en"), Some("EN"), Apart::Same),
            (Some("en"), Some("eng"), Apart::Same),
            (Some("ger"), Some("deu"), Apart::Same),
            (Some("es"), Some("spa"), Apart::Same),
            (Some("sv-FI"), Some("swe_fi"), Apart::Same),
            (Some("x-klingon"), Some("x-klingon"), Apart::Same),
            (None, None, Apart::Same),
            (Some("und"), None, Apart::Same),
            (Some("en"), Some("en-GB"), Apart::Less),
            (Some("pt-PT"), Some("por-BR"), Apart::Region),
            (Some("zh-Hans"), Some("chi-Hant"), Apart::Region),
            (Some("en"), None, Apart::Untold),
            (Some(""), Some("en"), Apart::Untold),
            (Some("en"), Some("es"), Apart::Other),
            // What begins alike is not alike.
            (Some("fi"), Some("fil"), Apart::Other),
            (Some("sw"), Some("swe"), Apart::Other),
            (Some("qaa"), Some("qab"), Apart::Other),
        ];
        for (a, b, wanted) in cases {
            assert_eq!(apart(a, b), wanted, "{a:?} and {b:?}");
            assert_eq!(apart(b, a), wanted, "{b:?} and {a:?}");
        }
    }

    #[test]
    fn a_code_stands_for_one_language() {
        let mut codes: Vec<&str> = CODES.iter().flat_map(|row| row.split([',', ' '])).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(codes.iter().all(|c| matches!(c.len(), 2 | 3)));
    }
}

"""Words that people name parts of a data set by, and what else stands in such names and says nothing."""

from __future__ import annotations

import re
import unicodedata

OF_SETS = (
    r"(?:(?:s?(?:data|images?|imgs?|pictures?|pics?))?(?:sets?|split)?|s(?:sets?|split)|"
    r"s?(?:daten(?:satz|s[aä]tze|menge)?|bilder|menge|satz|gegevens|mängd|mengde|mængde)|aineisto|joukko|"
    r"\s?(?:veri(?:si|leri|ler)?|seti|k[uü]mesi))"
)
_SPACED = (
    "train|training|val|valid|validate|validation|validierung|dev|test|testing|h[oe]ld[-_ ]?out|eval|evaluation|"
    "tun(?:e|ing)|learning|(?:an)?lern|pr(?:ü|ue)f(?:ung)?|oefen|"
    "apprentissage|entra[iî]nement|évaluation|tests|"
    "entrena(?:miento|ment)|entreno|aprendizaje|pruebas?|validaci[oó]n|evaluaci[oó]n|"
    "treinamento|treino|aprendizagem|aprendizado|testes?|valida[cç][aã]o|avalia[cç][aã]o|"
    "addestramento|allenamento|apprendimento|prova|verifica|validazione|convalida|valutazione|"
    "antrena(?:re|ment)|testare|validare|evaluare|"
    "e[gğ]itim|[oö][gğ]renme|do[gğ]rulama|s[ıi]nama|de[gğ]erlendirme|"
    "обучени[ея]|обучающ(?:ая|ее|ие|ий)|тренировк[аи]|тренировочн(?:ая|ое|ые|ый)|трейн|"
    "тест|теста|тесты|тестов(?:ая|ое|ые|ый)|тестировани[ея]|валидаци[ия]|валидационн(?:ая|ое|ые|ый)|"
    "проверк[аи]|проверочн(?:ая|ое|ые|ый)|"
    "навчання|навчальн(?:а|е|і|ий)|тестування|валідаці[яї]|перевірк[аи]|"
    "trening|treningow[aey]|testow[aey]|walidacj[ai]|walidacyjn[aey]|ucz[aą]c[aey]|"
    "tr[eé]novac(?:[ií]|i[ae])|testovac(?:[ií]|i[ae])|valida[cč]n[aáeéií]|"
    "u[cč]n[aei]|u[cč]enje|obuka|obu[cč]avanje|treniranje|testn[aei]|testiranje|validacij[ae]|provjera|preverjanje|"
    "tan[ií]t[oó]|tanul[oó]|teszt|valid[aá]ci[oó]s?|harjoitus|opetus|koulutus|testi|validointi|arviointi|"
    "εκπα[ιί]δευσης?|δοκιμ[ηή]ς?|επικ[υύ]ρωσης?|αξιολ[οό]γησης?|"
    "tr[äæ]ning|validering|validatie|huấn[-_ ]luyện|kiểm[-_ ](?:tra|thử)|pelatihan|latihan|pengujian|ujian|validasi|"
    "data[-_ ](?:latih|uji)|ה?(?:אימון|בדיקה|מבחן|תיקוף|ולידציה)|प्रशिक्षण|परीक्षण|सत्यापन|"
    "(?:ال)?(?:تدريب|اختبار|تحقق|تقييم)|آموزش|آزمون|آزمایش|اعتبارسنجی"
)
_UNSPACED = (  # in writings that put no space between words
    "训练|验证|校验|测试|评估|訓練|驗證|校驗|測試|評估|ฝึก|ทดสอบ|ตรวจสอบ|"
    "学習|トレーニング|検証|バリデーション|テスト|評価|"
    "학습|훈련|트레이닝|검증|테스트|시험|평가"
)
WORD = re.compile(
    rf"(?<![^\W\d_])({_SPACED})(?={OF_SETS}(?![^\W\d_]))|({_UNSPACED})",
    re.IGNORECASE,
)
SHORT_WORD = re.compile(r"(?<![^\W\d_])(tr|te|ts|va|trn|tst|vld)(?![^\W\d_])", re.IGNORECASE)
"""Short forms, which say little by themselves: hospitals and findings are called so too."""
MAY_BE_FINDINGS = frozenset({"tr", "ts"})  # of the tricuspid valve
TO_TRAIN_ON = re.compile(
    "trn?$|train|tr[eéäæ]n|навча|huấn|(?:data.|pe)?latih|l(?:ea|e)rn|anlern|oefen|antren|ucz|u[cč][en]|obu[kcč]|tan[iíu]|"
    "harj|opet|koul|εκπ|ה?אימון|प्रशि|ฝึก|[oö][gğ]ren|(?:ال)?تدريب|آموزش|训练|訓練|app?ren|entra[iî]n|entren|trein|addestr|allen|e[gğ]itim|обуч|трен|трейн|"
    "学習|トレーニング|학습|훈련|트레이닝",
    re.IGNORECASE,
)
"""Within a word of a part: whether it is the one to train on."""
SAYS_NOTHING = re.compile(
    rf"(?:{OF_SETS}|folder|part)|[用용]?(?:数据|圖片|图片|圖像|图像|影像|資料|數據|データ|画像|데이터|이미지|영상)?(?:集|セット|세트|셋)?|"
    "ensemble|jeu|base|données|donnees|conjunto|datos|dados|insieme|dati|im[áa]genes|imagens|immagini|"
    "des?|du|del|delle|di|da|d|l|per|para|pour|veri(?:si|leri|ler)?|seti|k[uü]me(?:si)?|g[oö]r[uü]nt[uü]ler[iı]?|"
    "выборка|набор|множество|данные|данных|изображения|снимки|для|вибірка|дані|"
    "zbi[oó]r|dane|skup|podaci|mno[zž]ica|za|halmaz|adat(?:ok)?|adathalmaz|date|gegevens|ชุด|ข้อมูล|"
    "zbioru|danych|נתוני|קבוצת|סט|σύνολο|συνόλου|δεδομένα|δεδομένων|डेटा|सेट|dữ|liệu|tập|بيانات|مجموعة|صور|داده|داده‌های|تصاویر"
)


FOLD = re.compile(r"(?:k|cv)?[-_ ]?folds?[-_ ]?\d+|第?[\d一二三四五六七八九十]+折|折\d+", re.IGNORECASE)
"""A part of a data set that is to be measured on in one training and trained on in the others."""
_PLACE_IN_A_LIST = re.compile(
    r"^(?:\d{1,2}(?:[-_.)]\s*|\s+)(?=\D)|(?:[a-z]|i{2,3}|iv)[.)]\s*(?=[^\W\d_]{3}))", re.IGNORECASE
)


def one_form(name: str) -> str:
    """A name as all systems write it, without a number or letter that only puts it in order, as `01_train` and
    `b. Testing Set` have.

    Wide letters and narrow katakana of Chinese and Japanese keyboards are those that they stand for. Capitals of all
    languages are alike: a dotted one of Turkish is one letter.
    """
    return _PLACE_IN_A_LIST.sub("", unicodedata.normalize("NFKC", name).replace("İ", "I"))

"""Words that people name parts of a data set by, and what else stands in such names and says nothing."""

from __future__ import annotations

import re
import unicodedata

OF_SETS = (
    r"(?:(?:data|images?|imgs?|pictures?|pics?)?(?:sets?|split)?|s?(?:daten(?:satz)?|bilder)|"
    r"\s?(?:veri(?:si|leri|ler)?|seti|k[uü]mesi))"
)
_SPACED = (
    "train|training|val|valid|validation|validierung|dev|test|testing|h[oe]ld[-_ ]?out|eval|evaluation|"
    "apprentissage|entra[iî]nement|évaluation|tests|"
    "entrenamiento|entreno|aprendizaje|pruebas?|validaci[oó]n|evaluaci[oó]n|"
    "treinamento|treino|aprendizagem|aprendizado|testes?|valida[cç][aã]o|avalia[cç][aã]o|"
    "addestramento|allenamento|apprendimento|prova|verifica|validazione|convalida|valutazione|"
    "e[gğ]itim|do[gğ]rulama|s[ıi]nama|de[gğ]erlendirme|"
    "обучени[ея]|обучающ(?:ая|ее|ие|ий)|тренировк[аи]|тренировочн(?:ая|ое|ые|ый)|трейн|"
    "тест|теста|тесты|тестов(?:ая|ое|ые|ый)|тестировани[ея]|валидаци[ия]|валидационн(?:ая|ое|ые|ый)|"
    "проверк[аи]|проверочн(?:ая|ое|ые|ый)|"
    "навчання|навчальн(?:а|е|і|ий)|тестування|валідаці[яї]|перевірк[аи]|"
    "trening|treningow[aey]|testow[aey]|walidacj[ai]|walidacyjn[aey]|tr[eé]novac[ií]|testovac[ií]|valida[cč]n[ií]|"
    "tr[äæ]ning|validering|validatie|huấn[-_ ]luyện|kiểm[-_ ](?:tra|thử)|pelatihan|pengujian|data[-_ ](?:latih|uji)|"
    "(?:ال)?(?:تدريب|اختبار|تحقق|تقييم)|آموزش|آزمون|آزمایش|اعتبارسنجی"
)
_UNSPACED = (  # in writings that put no space between words
    "训练|验证|测试|评估|訓練|驗證|測試|評估|"
    "学習|トレーニング|検証|バリデーション|テスト|評価|"
    "학습|훈련|트레이닝|검증|테스트|시험|평가"
)
WORD = re.compile(
    rf"(?<![^\W\d_])({_SPACED})(?={OF_SETS}(?![^\W\d_]))|({_UNSPACED})",
    re.IGNORECASE,
)
SHORT_WORD = re.compile(r"(?<![^\W\d_])(tr|te|ts|va)(?![^\W\d_])", re.IGNORECASE)
"""Short forms, which say little by themselves: hospitals and findings are called so too."""
MAY_BE_FINDINGS = frozenset({"tr", "ts"})  # of the tricuspid valve
TO_TRAIN_ON = re.compile(
    "tr$|train|tr[eéäæ]n|навча|huấn|pelatihan|data.latih|(?:ال)?تدريب|آموزش|训练|訓練|app?ren|entra[iî]n|entren|trein|addestr|allen|e[gğ]itim|обуч|трен|трейн|"
    "学習|トレーニング|학습|훈련|트레이닝",
    re.IGNORECASE,
)
"""Within a word of a part: whether it is the one to train on."""
SAYS_NOTHING = re.compile(
    rf"(?:{OF_SETS}|folder|part)|[用용]?(?:数据|圖片|图片|圖像|图像|影像|資料|數據|データ|画像|데이터|이미지|영상)?(?:集|セット|세트|셋)?|"
    "ensemble|jeu|base|données|donnees|conjunto|datos|dados|insieme|dati|im[áa]genes|imagens|immagini|"
    "des?|du|del|delle|di|da|d|l|per|para|pour|veri(?:si|leri|ler)?|seti|k[uü]me(?:si)?|g[oö]r[uü]nt[uü]ler[iı]?|"
    "выборка|набор|множество|данные|данных|изображения|снимки|для|вибірка|дані|"
    "zbi[oó]r|dane|dữ|liệu|tập|بيانات|مجموعة|صور|داده|داده‌های|تصاویر"
)


FOLD = re.compile(r"(?:k|cv)?[-_ ]?folds?[-_ ]?\d+|第?[\d一二三四五六七八九十]+折|折\d+", re.IGNORECASE)
"""A part of a data set that is to be measured on in one training and trained on in the others."""
_PLACE_IN_A_LIST = re.compile(r"^\d{1,2}(?:[-_.)]\s*|\s+)(?=\D)")


def one_form(name: str) -> str:
    """A name as all systems write it, without a number that only puts it in order, as `01_train` has.

    Wide letters and narrow katakana of Chinese and Japanese keyboards are those that they stand for. Capitals of all
    languages are alike: a dotted one of Turkish is one letter.
    """
    return _PLACE_IN_A_LIST.sub("", unicodedata.normalize("NFKC", name).replace("İ", "I"))
